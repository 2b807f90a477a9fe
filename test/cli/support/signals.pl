#!/usr/bin/perl
# Two processes of one group; the parent ends after its child. Each says "ROLE ready", then "ROLE SIGNAL" for each signal that it gets. Both end when
# their stdin does.
use strict;
use warnings;

sub say_line { syswrite(STDOUT, "$_[0]\n") }

my $child = fork();
my $role = $child ? 'parent' : 'child';
for my $signal (qw(INT TERM HUP QUIT USR1 USR2)) {
    $SIG{$signal} = sub { say_line("$role $signal") };
}
say_line("$role ready");
# A signal interrupts the read, which is then undefined.
1 until defined sysread(STDIN, my $byte, 1);
waitpid($child, 0) if $child;
