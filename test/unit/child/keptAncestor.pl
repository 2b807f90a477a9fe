# A process that is kept by its own child, as where it is what orphans come to. Says when the guard has seen it end.
# usage: keptAncestor.pl GUARD
use strict;
use warnings;
use POSIX qw(dup2);
use Socket;

my ($guard_script) = @ARGV;
$| = 1;
open my $stat, '<', '/proc/self/stat' or die $!;
my $start = (split ' ', (<$stat> =~ /.*\) (.*)/)[0])[19];
my $kept = $$;
if (fork // die $!) { sleep 1000 while 1 }

socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
$ours->autoflush;
if (!(fork // die $!)) {
    dup2(fileno $theirs, 3) // die $!;
    exec 'sh', $guard_script, 'LEASH_RUN_0123456789abcdef', '' or die $!;
}
close $theirs;
print $ours "keep $kept $start 15\nuntil 0\n";
while (<$ours>) { print; last if /^ended/ }
