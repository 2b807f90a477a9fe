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
#       fork          a child of its own
#       own-groups    a child in its session, but in a process group of its own, as interactive shells make them
#       setsid        a child in a session of its own
#       daemon        a process in a session of its own whose parent is not ours any more
#       fork-loop     a chain of processes, each of which forks the next after a few ms and ends; with setsid, each in a
#                     session of its own. Two live at a time, and after so many the last one stays
#       many          200 children
#       stop          stops itself when it said "running"
#       closed-pipe   writes to pipes that nobody reads; its stdout is one (see Job.ts)
#       tidy          when it ends by itself, it has ended its children before
#       shared        takes the flock as a reader, beside others that do
#       slots=N       the same, and the flock of one of N more files, of any that is free
# With STEP_MS and MAY_STEP in its environment it works in steps: it runs the command MAY_STEP, and has the flock for no longer
# than so many milliseconds after it began to ask. It notes "resting" when it gave the flock back, and "working" when it has
# it again. When the command fails, it ends with 79.
# All that it forks holds flock and socket, too, and lives until killed. It runs until killed, or until it reads
# "exit STATUS AFTER_MS" from the socket. None of them outlives the test: they end when the socket's other end does.
use strict;
use warnings;
use Fcntl qw(LOCK_EX LOCK_NB LOCK_SH LOCK_UN O_WRONLY O_APPEND O_CREAT);
use POSIX ();
use Socket qw(AF_UNIX MSG_PEEK SOCK_STREAM pack_sockaddr_un);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($directory, $name, @modes) = @ARGV;
my %mode = map { $_ => 1 } @modes;
my ($slots) = map { /^slots=(\d+)$/ } @modes;
my @children;
# Ten seconds of a chain, longer than any test needs it. Where only a sweep over /proc can end it, it must live longer than a
# sweep takes from seeing to killing. More often, and the process ids of the machine would go round in no time.
my ($hop_s, $hops) = $mode{setsid} ? (0.05, 200) : (0.01, 1000);
$SIG{TERM} = 'IGNORE' if $mode{'ignore-term'};
$SIG{PIPE} = 'IGNORE';

sysopen(my $record, "$directory/record", O_WRONLY | O_APPEND | O_CREAT) or die "record: $!";
socket(my $harness, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
connect($harness, pack_sockaddr_un("$directory/socket")) or die "connect: $!";

sub lock_file {
    open(my $file, '>>', "$directory/$_[0]") or die "$_[0]: $!";
    return $file;
}

my $flock = lock_file('flock');
my @slot_files = map { lock_file("slot.$_") } 1 .. $slots // 0;
my $gate = lock_file('gate');

# Whether it has the flock: at once, if at all.
sub takes_flock {
    return flock($flock, ($mode{shared} ? LOCK_SH : LOCK_EX) | LOCK_NB) unless $slots;
    return 0 unless flock($flock, LOCK_SH | LOCK_NB);
    # Meanwhile nobody else takes one, only gives one back: if each is found taken, then all were when we began to look.
    flock($gate, LOCK_EX);
    my $took = 0;
    for my $file (@slot_files) {
        last if $took = flock($file, LOCK_EX | LOCK_NB);
    }
    flock($gate, LOCK_UN);
    flock($flock, LOCK_UN) unless $took;
    return $took;
}

sub waits_for_flock {
    return flock($flock, $mode{shared} ? LOCK_SH : LOCK_EX) unless $slots;
    Time::HiRes::sleep(0.002) until takes_flock();
}

sub note {
    my $line = join("\t", $_[0], $name, sprintf('%.0f', clock_gettime(CLOCK_MONOTONIC) * 1e9), $$, @_[1 .. $#_]) . "\n";
    syswrite($record, $line);
    syswrite($harness, $line);
}

sub with_child {
    my $child = fork() // die "fork: $!";
    push @children, $child;
    return $child if $child;
    $_[0]->();
    POSIX::_exit(0);
}

# Returns after so many seconds, or never; ends when the test has.
sub linger {
    my ($seconds) = @_;
    while (1) {
        vec(my $ready = '', fileno($harness), 1) = 1;
        if (select($ready, undef, undef, $seconds) > 0) {
            recv($harness, my $order, 1, MSG_PEEK);
            POSIX::_exit(0) if $order eq '';
            # An order is not ours to read.
            Time::HiRes::sleep(0.005);
        }
        return if defined $seconds;
    }
}

sub chain {
    for (1 .. $hops) {
        POSIX::setsid() if $mode{setsid};
        linger($hop_s);
        POSIX::_exit(0) if fork() // die "fork: $!";
    }
    linger();
}

sub write_in_vain {
    pipe(my $reader, my $writer) or die "pipe: $!";
    close($reader);
    defined syswrite($_, "nobody reads this\n") or $!{EPIPE} or die "write: $!" for $writer, *STDOUT;
}

# Returns when the step has to end.
sub ask {
    while (1) {
        my $end = clock_gettime(CLOCK_MONOTONIC) + $ENV{STEP_MS} / 1000;
        POSIX::_exit(79) if system('sh', '-c', $ENV{MAY_STEP});
        return $end if clock_gettime(CLOCK_MONOTONIC) < $end;
    }
}

sub next_step {
    flock($flock, LOCK_UN);
    note('resting');
    my $end = ask();
    my $alone = takes_flock();
    note($alone ? 'working' : 'VIOLATION');
    if (!$alone) {
        waits_for_flock();
        note('overlap-ended');
    }
    return $end;
}

# Whether the harness says something before the step ends; without steps it will.
sub is_told {
    my ($end) = @_;
    return 1 unless defined $end;
    my $left = $end - clock_gettime(CLOCK_MONOTONIC);
    vec(my $ready = '', fileno($harness), 1) = 1;
    return $left > 0 && select($ready, undef, undef, $left) > 0;
}

my $step_end = defined $ENV{STEP_MS} ? ask() : undef;
my $alone = takes_flock();
note('VIOLATION') unless $alone;

with_child(sub { linger() }) if $mode{fork};
with_child(sub { setpgrp(0, 0); linger() }) if $mode{'own-groups'};
with_child(sub { POSIX::setsid(); linger() }) if $mode{setsid};
waitpid(with_child(sub { POSIX::setsid(); with_child(sub { linger() }) }), 0) if $mode{daemon};
with_child(\&chain) if $mode{'fork-loop'};
if ($mode{many}) { with_child(sub { linger() }) for 1 .. 200 }
write_in_vain() if $mode{'closed-pipe'};

note('running', map { $ENV{"LEASH_$_"} // '' } qw(LOCK FENCE LEASE KEY));
if (!$alone) {
    waits_for_flock();
    note('overlap-ended');
}
kill('STOP', $$) if $mode{stop};

my ($order, $bytes) = ('', 0);
while ($order !~ /\n/) {
    if (!is_told($step_end)) {
        $step_end = next_step();
        next;
    }
    $bytes = sysread($harness, $order, 64, length $order);
    next if !defined $bytes && $!{EINTR};
    POSIX::_exit(99) unless $bytes;
}
my ($status, $after_ms) = $order =~ /^exit (\d+) (\d+)$/m or die "order: $order";
Time::HiRes::usleep($after_ms * 1000) if $after_ms;
write_in_vain() if $mode{'closed-pipe'};
if ($mode{tidy}) {
    kill('KILL', @children);
    waitpid($_, 0) for @children;
}
note('ended');
POSIX::_exit($status);
