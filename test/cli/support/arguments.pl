#!/usr/bin/perl
# Prints its arguments, each with a NUL behind it.
print map { "$_\0" } @ARGV;
