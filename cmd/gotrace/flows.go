package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/tracer"
	"github.com/gotrace/gotrace/runtime/views/flows"
)

const flowsUsage = `gotrace flows - shows connections, datagrams and dropped packets

USAGE:
    gotrace flows [filters] [options]

Shows each flow of the sockets of this machine when it begins and ends, and at most
every five seconds while it lasts, with its process, its packets and bytes; each packet
that the kernel drops, with the reason and the place; and messages of DNS and HTTP.

FILTERS: several values of one select flows that match any of them. Flows have to match
all flags that are given.
    --not                  the next filter selects the flows that are left out
`

// timeLayouts are the values of --time-format.
var timeLayouts = map[string]string{
	"StampMilli": time.StampMilli, "RFC3339": time.RFC3339, "RFC3339Nano": time.RFC3339Nano,
	"RFC3339Milli": "2006-01-02T15:04:05.000Z07:00", "RFC1123Z": time.RFC1123Z,
	"YearMonthDay": "2006/01/02 15:04:05 Z0700",
}

// flowsOptions are the values of the flags of gotrace flows.
type flowsOptions struct {
	watch       flows.WatchOptions
	not         bool // the next filter goes to Deny
	format      string
	layout      string
	cmd         string
	first, last uint
	follow      bool
	numeric     bool
	translate   bool
	print       bool
	help        bool
	quiet       bool
}

// filterValue is the value of a flag that selects flows.
type filterValue struct {
	o    *flowsOptions
	flag flows.FilterFlag
}

func (v *filterValue) String() string { return "" }
func (v *filterValue) Type() string   { return "filter" }

func (v *filterValue) Set(value string) error {
	set := &v.o.watch.Filter.Allow
	if v.o.not {
		set, v.o.not = &v.o.watch.Filter.Deny, false
	}
	return set.Add(v.flag.Name, value)
}

// notValue is the value of --not.
type notValue struct{ o *flowsOptions }

func (v notValue) String() string { return "" }
func (v notValue) Type() string   { return "bool" }

func (v notValue) Set(string) error {
	if v.o.not {
		return errors.New("--not comes before a filter")
	}
	v.o.not = true
	return nil
}

// flowsFlags returns the flags of gotrace flows: the filters, and the others.
func flowsFlags(o *flowsOptions) (all, filters *pflag.FlagSet) {
	all, filters = pflag.NewFlagSet("flows", pflag.ContinueOnError), pflag.NewFlagSet("filters", pflag.ContinueOnError)
	for _, fs := range []*pflag.FlagSet{all, filters} {
		fs.SetOutput(io.Discard)
		fs.SortFlags = false
	}
	for _, f := range flows.FilterFlags() {
		usage := f.Doc
		if f.Value != "" {
			usage = "`" + f.Value + "`" + usage
		}
		filters.VarP(&filterValue{o, f}, f.Name, f.Short, usage)
		if f.Fixed != "" {
			filters.Lookup(f.Name).NoOptDefVal = f.Fixed
		}
	}
	all.BoolVarP(&o.follow, "follow", "f", false, "show flows as they come, until Ctrl-C; this is the default without --last")
	all.UintVar(&o.first, "first", 0, "`N`end after N flows")
	all.UintVar(&o.last, "last", 0, "`N`show only the last N, at the end")
	all.StringVarP(&o.cmd, "cmd", "c", "", "`COMMAND`start COMMAND and end when it does")
	all.StringVarP(&o.format, "output", "o", flows.Formats()[0], "`FORMAT`"+strings.Join(flows.Formats(), ", ")+"; json is Hubble's")
	all.StringVar(&o.layout, "time-format", "StampMilli", "`NAME`"+strings.Join(layoutNames(), ", "))
	all.BoolVar(&o.numeric, "numeric", false, "show addresses, not the names that DNS returned them for")
	all.BoolVar(&o.translate, "ip-translation", true, "")
	all.BoolVar(&o.watch.Unmask, "unmask", false, "show the queries, users and passwords of URLs, which are hidden otherwise")
	all.BoolVar(&o.print, "print", false, "print the script that the flags become, and run nothing")
	all.BoolVarP(&o.quiet, "quiet", "q", false, "no messages except errors")
	all.BoolVarP(&o.help, "help", "h", false, "show this help")
	_ = all.MarkHidden("ip-translation") // the flag exists, so there is no error
	all.AddFlagSet(filters)
	all.Var(notValue{o}, "not", "")
	all.Lookup("not").NoOptDefVal, all.Lookup("not").Hidden = "true", true
	for _, r := range flows.RefusedFlags() {
		all.String(r.Name, "", "")
		if all.Lookup(r.Name).Hidden = true; r.Bool {
			all.Lookup(r.Name).NoOptDefVal = "true"
		}
	}
	return all, filters
}

func layoutNames() []string {
	var list []string
	for name := range timeLayouts {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// flowsHelp returns the help text.
func flowsHelp() string {
	var b bytes.Buffer
	b.WriteString(flowsUsage)
	all, filters := flowsFlags(&flowsOptions{})
	filters.VisitAll(func(f *pflag.Flag) { writeFlag(&b, f) })
	b.WriteString("\nOPTIONS:\n")
	all.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && filters.Lookup(f.Name) == nil {
			writeFlag(&b, f)
		}
	})
	return b.String()
}

// parseFlows parses the command line of gotrace flows.
func parseFlows(args []string) (*flowsOptions, error) {
	o := &flowsOptions{}
	all, _ := flowsFlags(o)
	err := all.Parse(args)
	for _, r := range flows.RefusedFlags() {
		if all.Changed(r.Name) {
			return nil, usagef("--%s: %s", r.Name, r.Why)
		}
	}
	switch {
	case err != nil:
		if value := (*pflag.InvalidValueError)(nil); errors.As(err, &value) {
			if err = value.Unwrap(); !strings.HasPrefix(err.Error(), "--") {
				err = outline.Errorf("--%s %q: %w", value.GetFlag().Name, value.GetValue(), err)
			}
		}
		return nil, usagef("%v", err)
	case o.help:
		return o, nil
	case o.not:
		return nil, usagef("USAGE: --not comes before a filter")
	case all.NArg() > 0:
		return nil, usagef("USAGE: gotrace flows has no arguments but flags, so what is %q?", all.Arg(0))
	case o.first > 0 && o.last > 0:
		return nil, usagef("USAGE: --first and --last cannot be combined")
	case !slices.Contains(flows.Formats(), o.format):
		return nil, usagef("Invalid output format %q\nValid formats: %s", o.format, strings.Join(flows.Formats(), ", "))
	case timeLayouts[o.layout] == "":
		return nil, usagef("Invalid time format %q\nValid formats: %s", o.layout, strings.Join(layoutNames(), ", "))
	}
	return o, nil
}

// flows runs gotrace flows and returns the exit status.
func (a *app) flows(args []string) int {
	o, err := parseFlows(args)
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	a.report.setup(&options{quiet: o.quiet})
	live := kernel.LiveBTF(a.btfFile())
	o.watch.Kernel = live
	switch {
	case o.help:
		io.WriteString(a.stdout, flowsHelp())
		return statusOK
	case o.print:
		return a.printScript(source.NewFile("flows", flows.Script(&o.watch.Filter, flows.HasReasons(live))))
	}
	if err := privileges(); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	if err := a.watchFlows(o); err != nil {
		var list *tracer.Error
		if errors.As(err, &list) {
			a.report.diags(list.Diagnostics)
		} else {
			a.report.err(err)
		}
		return statusError
	}
	return statusOK
}

// watchFlows shows flows until the user ends it, the command of -c has ended, or the
// requested number has been shown.
func (a *app) watchFlows(o *flowsOptions) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.results.w, a.messages.w = a.stdout, a.report.w
	a.catchSignals(cancel)
	w := output.NewWriter(&a.results, output.Line)
	node, _ := os.Hostname()
	p := flows.NewPrinter(o.format, w, flows.Style{Numeric: o.numeric || !o.translate, Node: node, Layout: timeLayouts[o.layout]})
	o.watch.Stderr = &a.messages
	var cmdErr error
	notify := a.notify(w)
	o.watch.Attached = func() {
		if notify != nil {
			notify()
		} else if !o.quiet {
			fmt.Fprintln(&a.messages, "Watching flows. Ctrl-C ends it.")
		}
		if o.cmd != "" {
			go func() {
				defer cancel()
				cmdErr = runShell(ctx, o.cmd)
			}()
		}
	}
	var last []*flows.Flow
	var failed error
	n := uint(0)
	err := flows.Watch(ctx, o.watch, func(f *flows.Flow) bool {
		n++
		if o.last > 0 && !o.follow {
			if last = append(last, f); uint(len(last)) > o.last {
				last = last[1:]
			}
			return true
		}
		failed = errors.Join(p.Flow(f), w.Flush())
		return failed == nil && (o.first == 0 || n < o.first)
	})
	for _, f := range last {
		failed = errors.Join(failed, p.Flow(f))
	}
	return errors.Join(err, failed, p.Close(), w.Flush(), cmdErr)
}

// runShell runs a command until it ends or ctx is done.
func runShell(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		return nil // the status of the command does not matter
	}
	return err
}
