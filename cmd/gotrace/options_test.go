package main

import (
	"strings"
	"testing"
)

// TestOptionHelp checks the answers to options that a script does not have, --help among
// them.
func TestOptionHelp(t *testing.T) {
	const one = `begin { print(getopt("n", 1, "the n")); }`
	const two = `begin { print(getopt("n", 1, "the n")); print(getopt("s", "x")); }`
	for _, c := range []struct{ script, option, want string }{
		{one, "--help", "HINT: expected program options:\n--n: the n\n"},
		{two, "--help", "HINT: expected program options:\n--n: the n\n--s\n"},
		{"begin { }", "--help", "HINT: no custom program options defined.\n"},
		{one, "--x", "ERROR: unexpected program command line options: --x\nHINT: expected program options: --n\n"},
		{two, "--x", "ERROR: unexpected program command line options: --x\nHINT: expected program options: --n, --s\n"},
		{"begin { }", "--x", "ERROR: unexpected program command line options: --x\nHINT: no custom program options defined.\n"},
	} {
		out, errs, status := gotrace(t, "-e", c.script, "--", c.option)
		if status != 1 || out != "" || errs != c.want {
			t.Errorf("%s of %s: status %d, stdout %q, stderr %q; want %q", c.option, c.script, status, out, errs, c.want)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-c|x|-p|1|-e|x":               "Cannot use both -c and -p",
		"-k|--no-warnings|-e|x":        "-k, --warnings conflicts with --no-warnings",
		"-p|12x|-e|x":                  "Failed to parse pid: invalid trailing bytes: 12x",
		"-p|x|-e|x":                    "Failed to parse pid: invalid integer: x",
		"-p|5000000|-e|x":              "Pid out of range: 5000000",
		"-p|0|-e|x":                    "Pid out of range: 0",
		"-p|-1|-e|x":                   "Pid out of range: -1",
		"-B|some|-e|x":                 "-B must be either",
		"-f|xml|-e|x":                  `Invalid output format "xml"`,
		"-d|nothing|-e|x":              "invalid option for -d: nothing",
		"--no-feature|x|-e|x":          "--no-feature can only have values",
		"--mode|x|-e|x":                "--mode can only be",
		"--test|--bench|-e|x":          "USAGE: --bench conflicts with existing --mode",
		"--check|-e|x":                 "--check goes with --fmt",
		"-q":                           "filename or -e 'program' required",
		"-e|":                          "filename or -e 'program' required",
		"--nosuch":                     "unknown flag: --nosuch",
		"-e":                           "flag needs an argument",
		"-l|a|b":                       "-l takes one",
		"--emit-llvm|x|-e|x":           "there is no LLVM in gotrace",
		"--aot|x|-e|x":                 "--emit-elf FILE",
		"--dwarf-pid|x|-e|x":           "Failed to parse pid: invalid integer: x",
		"x.bt|--option-without-dashes": "unknown flag",
	} {
		if _, err := parseFlags(strings.Split(args, "|")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
