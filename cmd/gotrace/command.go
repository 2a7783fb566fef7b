package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
)

// subcommand is a command of gotrace that is selected by the first argument.
type subcommand struct {
	name  string
	args  string // for the help text
	about string
	run   func(a *app, args []string) int // returns the exit status
}

// commands returns the commands in the order of the help text.
//
//go:noinline
func commands() []subcommand {
	return []subcommand{
		{"build", "-o TOOL FILE", "build an executable from a script", (*app).build},
		{"explain", "-e 'program'", "estimate what a script costs per event", (*app).explain},
		{"flows", "[--port 443 ...]", "show connections and dropped packets", (*app).flows},
		{"policy", "FILE.yaml ...", "run policies of Tetragon, Falco or Cilium", (*app).policy},
		{"requests", "http ...", "show requests and their answers", (*app).requests},
		{"serve", "DIR ...", "keep the scripts of a directory running", (*app).serve},
	}
}

// lookupCommand returns the command that the first argument selects, or nil. A script
// with such a name is run as ./name.
func lookupCommand(arg string) *subcommand {
	for _, c := range commands() {
		if c.name == arg {
			return &c
		}
	}
	return nil
}

// usageCommands returns the lines of the help text about the commands.
func usageCommands() string {
	var b bytes.Buffer
	for _, c := range commands() {
		fmt.Fprintf(&b, "    gotrace %-24s %s\n", c.name+" "+c.args, c.about)
	}
	return b.String()
}

// takeFlags parses the arguments of a command that accepts the flags of gotrace, and
// stores them in the app. With --help, it prints the text help. If ok is false, the
// command must end with the exit status status.
func (a *app) takeFlags(args []string, help string, check func(*options) error) (status int, ok bool) {
	o, err := parseFlags(args)
	if err == nil && o.help {
		io.WriteString(a.stdout, help)
		return statusOK, false
	}
	if err == nil {
		err = check(o)
	}
	if err != nil {
		a.report.errorf("%v", err)
		return statusError, false
	}
	a.opt = o
	a.report.setup(o)
	return statusOK, true
}

// runScript compiles a script that a command has generated and runs it with the options
// in a.opt. Its results go to the sink that make returns. It returns the exit status.
func (a *app) runScript(f *source.File, make makeSink) int {
	a.report.setup(a.opt)
	if err := a.checkProcess(); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	if a.kernel == nil {
		a.kernel = kernel.LiveBTF(a.btfFile())
	}
	a.sink = make
	return a.trace(f)
}

// printScript prints a generated script, formatted.
//
//go:noinline
func (a *app) printScript(f *source.File) int {
	a.opt = &options{}
	return a.format(f)
}
