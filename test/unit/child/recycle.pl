# In a pid namespace of its own: gives the number of a job that has ended to a stranger, lets leash die, and says what has
# become of the stranger. usage: recycle.pl GUARD leads|shares
use strict;
use warnings;
use POSIX qw(dup2 setsid);
use Socket;

my ($guard_script, $session) = @ARGV;
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
$ours->autoflush;

sub start {
    my (@command) = @_;
    my $pid = fork // die $!;
    return $pid if $pid;
    setsid();
    exec @command or die $!;
}

my $guard = fork // die $!;
if (!$guard) {
    dup2(fileno $theirs, 3) // die $!;
    exec 'sh', $guard_script, 'LEASH_RUN_0123456789abcdef', '', 'true' or die $!;
}
close $theirs;

my $job = start('sleep', '1000');
print $ours "job $job $session none\n";
<$ours> eq "ready\n" or die;
kill 'KILL', $job;
waitpid $job, 0;
# Times of start are counted in hundredths of a second.
select undef, undef, undef, 0.05;
open my $last, '>', '/proc/sys/kernel/ns_last_pid' or die $!;
print $last $job - 1;
close $last;
my $stranger = start('sleep', '1000');
$stranger == $job or die;
close $ours;
waitpid $guard, 0;
open my $stat, '<', "/proc/$stranger/stat" or die $!;
print <$stat> =~ /\) S / ? "spared\n" : "killed\n";
