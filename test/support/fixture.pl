#!/usr/bin/perl
# The job that tests run under a lock. Perl, because dozens run at once: 5 ms to start, 8 MB.
#
# usage: fixture.pl DIRECTORY NAME [MODE...]
#
# Opens DIRECTORY/flock by itself and takes the flock, so whatever it forks holds it too, and nothing else does.
# If another tree has it, that is a VIOLATION; it then runs on beside the other and notes when the overlap ended.
# Talks over DIRECTORY/socket, which it also keeps open in all that it forks: the socket's end is the tree's end.
# Notes everything, with CLOCK_MONOTONIC in nanoseconds, in DIRECTORY/record as well.
#
# MODE: ignore-term   TERM does nothing
#       fork          a child of its own, which holds flock and socket, too, and lives until killed
#       setsid        as fork, but the child moves to a session of its own
# It runs until killed, or until it reads "exit STATUS AFTER_MS" from the socket, or until the socket's other end
# has gone, so that it never outlives the test.
use strict;
use warnings;
use Fcntl qw(LOCK_EX LOCK_NB O_WRONLY O_APPEND O_CREAT);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($directory, $name, @modes) = @ARGV;
my %mode = map { $_ => 1 } @modes;
$SIG{TERM} = 'IGNORE' if $mode{'ignore-term'};
$SIG{PIPE} = 'IGNORE';

sysopen(my $record, "$directory/record", O_WRONLY | O_APPEND | O_CREAT) or die "record: $!";
socket(my $harness, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
connect($harness, pack_sockaddr_un("$directory/socket")) or die "connect: $!";
open(my $flock, '>>', "$directory/flock") or die "flock: $!";

sub note {
    my $line = join("\t", $_[0], $name, sprintf('%.0f', clock_gettime(CLOCK_MONOTONIC) * 1e9), $$, @_[1 .. $#_]) . "\n";
    syswrite($record, $line);
    syswrite($harness, $line);
}

my $alone = flock($flock, LOCK_EX | LOCK_NB);
note('VIOLATION') unless $alone;

if ($mode{fork} || $mode{setsid}) {
    my $child = fork() // die "fork: $!";
    if ($child == 0) {
        POSIX::setsid() if $mode{setsid};
        sleep 3600;
        POSIX::_exit(0);
    }
}

note('running', map { $ENV{"LEASH_$_"} // '' } qw(LOCK FENCE LEASE KEY));
if (!$alone) {
    flock($flock, LOCK_EX);
    note('overlap-ended');
}

my ($order, $bytes) = ('', 0);
while ($order !~ /\n/) {
    $bytes = sysread($harness, $order, 64, length $order);
    next if !defined $bytes && $!{EINTR};
    POSIX::_exit(99) unless $bytes;
}
my ($status, $after_ms) = $order =~ /^exit (\d+) (\d+)$/m or die "order: $order";
Time::HiRes::usleep($after_ms * 1000) if $after_ms;
note('ended');
POSIX::_exit($status);
