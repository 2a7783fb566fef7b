package probes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The kernel follows a limited number of calls of a function at a time to their return,
// and misses other calls. Up to Linux 5.18 the limit is the number of CPUs, later the
// greater of ten and twice that number. This is too low for functions that sleep. A
// probe that is defined in tracefs can have a higher limit, so kretprobes are attached
// that way if tracefs is writable.
//
// If the process is killed, the definition remains but has no effect. The next session
// removes it.

// Number of calls that a kretprobe follows at a time. The kernel allows 4096 and uses
// about 60 bytes for each. If there are many kretprobes, later ones get fewer calls.
const (
	followed     = 4096
	followedLess = 256
	manyDefined  = 64
)

// definedPrefix is the prefix of a group of probes in tracefs. It is followed by the ID
// of the process that defined them.
const definedPrefix = "gotrace_"

// tracefsDir returns the directory in which probes can be defined, or "".
func (e *Env) tracefsDir() string {
	if k, ok := e.Kernel.(interface{ TracefsDir() (string, error) }); ok {
		if dir, err := k.TracefsDir(); err == nil {
			return dir
		}
	}
	return ""
}

// attachDefined defines a kretprobe in tracefs and attaches the program to it.
func attachDefined(e *Env, prog *ebpf.Program, symbol string) (io.Closer, error) {
	tracefs := e.tracefsDir()
	if tracefs == "" {
		return nil, ebpf.ErrNotSupported
	}
	if e.defined == 0 {
		removeLeftovers(tracefs)
	}
	e.defined++
	d := &defined{tracefs: tracefs, name: fmt.Sprintf("%s%d/r%d_%[2]d", definedPrefix, os.Getpid(), e.defined)}
	room := followed
	if e.defined > manyDefined {
		room = followedLess
	}
	if err := define(tracefs, fmt.Sprintf("r%d:%s %s", room, d.name, symbol)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(tracefs, "events", d.name, "id"))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	id, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	c, err := attachPerf(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1, Wakeup: 1}, -1, 0, prog)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.event = c
	return d, nil
}

// defined is an event whose probe was defined in tracefs.
type defined struct {
	event         io.Closer
	tracefs, name string
}

// Missed returns the number of calls that the kernel missed. Older kernels show that
// number only in tracefs.
func (d *defined) Missed() uint64 {
	if m, ok := d.event.(interface{ Missed() uint64 }); ok {
		if n := m.Missed(); n > 0 {
			return n
		}
	}
	text, err := os.ReadFile(filepath.Join(d.tracefs, "kprobe_profile"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		// name hits misses
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == filepath.Base(d.name) {
			n, _ := strconv.ParseUint(f[2], 10, 64)
			return n
		}
	}
	return 0
}

func (d *defined) Close() error {
	var err error
	if d.event != nil {
		err = d.event.Close()
	}
	rerr := define(d.tracefs, "-:"+d.name)
	for range 500 { // the kernel may take a moment to release the event, or seconds if the machine is busy
		if !errors.Is(rerr, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		rerr = define(d.tracefs, "-:"+d.name)
	}
	return errors.Join(err, rerr)
}

// define writes a line to the list of probes in tracefs.
func define(tracefs, line string) error {
	f, err := os.OpenFile(filepath.Join(tracefs, "kprobe_events"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// removeLeftovers removes the definitions of processes that have ended.
func removeLeftovers(tracefs string) {
	groups, err := filepath.Glob(filepath.Join(tracefs, "events", definedPrefix+"*"))
	if err != nil {
		return
	}
	for _, group := range groups {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(group), definedPrefix))
		if err != nil || unix.Kill(pid, 0) != unix.ESRCH {
			continue
		}
		events, _ := filepath.Glob(filepath.Join(group, "r*"))
		for _, event := range events {
			_ = define(tracefs, "-:"+filepath.Base(group)+"/"+filepath.Base(event)) // the kernel keeps definitions that are in use
		}
	}
}
