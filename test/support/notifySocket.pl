#!/usr/bin/perl
# usage: notifySocket.pl PATH
#
# Stands where systemd would: binds a Unix datagram socket and prints each message on a line, its own line ends as "|".
# Descriptors that come with a message are closed unseen, which is what systemd-notify waits for. Ends when stdin does.
use strict;
use warnings;
use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);

socket(my $notifications, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($notifications, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
syswrite(STDOUT, "bound\n");

my $watched = '';
vec($watched, fileno($_), 1) = 1 for (\*STDIN, $notifications);
while (1) {
    select(my $ready = $watched, undef, undef, undef);
    if (vec($ready, fileno($notifications), 1)) {
        recv($notifications, my $message, 65536, 0) // die "recv: $!";
        $message =~ tr/\n/|/;
        syswrite(STDOUT, "$message\n");
    }
    elsif (vec($ready, fileno(STDIN), 1)) {
        last unless sysread(STDIN, my $byte, 1);
    }
}
