package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/live"
)

// openLive prepares the view of --live. It returns an error if there is no terminal for
// it.
func (a *app) openLive() error {
	o := a.opt
	if !o.live {
		return nil
	}
	if o.mode == modeTest || o.mode == modeBench || o.dryRun {
		return errors.New("--live shows a running session: it does not go with --dry-run, --test or --bench")
	}
	out, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return errors.New("--live needs a terminal, and standard output is not one\nHINT: -o FILE writes the results to a file; without --live, --every 1s prints the maps at an interval")
	}
	if os.Getenv("TERM") == "dumb" {
		return errors.New("--live needs a terminal with a cursor, and TERM is dumb\nHINT: without --live, --every 1s prints the maps at an interval")
	}
	in := os.Stdin
	if !term.IsTerminal(int(in.Fd())) {
		var err error
		if in, err = os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil {
			return outline.Errorf("--live needs a terminal for its keys: standard input is not one, and /dev/tty cannot be opened: %w", bare(err))
		}
	}
	a.live = live.New(live.Setup{
		In: in, Out: out, Color: os.Getenv("NO_COLOR") == "" && os.Getenv("BPFTRACE_COLOR") != "never",
		ASCII: asciiOnly(os.Getenv), Rates: o.rates, Every: o.every,
	})
	a.report.w = a.live.Messages(a.report.w, !terminal(a.report.w))
	return nil
}

// asciiOnly reports whether the locale in the environment supports only ASCII.
func asciiOnly(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(getenv(name)); v != "" {
			return !strings.Contains(v, "UTF-8") && !strings.Contains(v, "UTF8")
		}
	}
	return getenv("TERM") == "linux"
}

// liveResults returns the writer for results, so that --live shows them too.
func (a *app) liveResults(to io.Writer) io.Writer {
	if a.live == nil {
		return to
	}
	return a.live.Results(to, a.opt.output != "")
}

// childStreams returns the standard streams of the command of -c. The view of --live has
// the terminal for itself.
func (a *app) childStreams() runtime.Streams {
	if a.live == nil {
		return runtime.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	}
	return runtime.Streams{
		Out: a.live.Command(os.Stdout, false),
		Err: a.live.Command(os.Stderr, !terminal(os.Stderr)),
	}
}

// startLive shows the view of --live.
func (a *app) startLive(s *runtime.Instance) error {
	if a.live == nil {
		return nil
	}
	a.progress.Off(true)
	return a.live.Start(s.Greatest)
}

// stopLive ends the view.
func (a *app) stopLive() {
	if a.live != nil {
		a.live.Stop()
	}
}

// openProgress makes long operations show a line if standard error is a terminal.
func (a *app) openProgress() {
	if a.opt.quiet || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(os.Stderr.Fd())) {
		return
	}
	width := func() int {
		if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
			return w
		}
		return 80
	}
	ready := func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(os.Stderr.Fd()), Events: unix.POLLOUT}}, 0)
		return n == 1 && err == nil
	}
	a.progress = output.NewProgress(a.report.w, width, ready)
	a.report.w = a.progress
}

// leaveTerminal restores the terminal before this process ends at once.
func (a *app) leaveTerminal() {
	a.progress.End()
	if a.live != nil {
		a.live.Leave()
	}
}
