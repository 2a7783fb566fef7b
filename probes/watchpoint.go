package probes

import (
	"io"
	"sort"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// watchpointKind returns watchpoint, which uses the processor's debug registers.
// There are four. With -p, all threads of the process are watched, including those
// that it starts later. Otherwise the address is watched on every CPU, in all
// processes.
func watchpointKind() *Kind {
	k := &Kind{
		Name:     "watchpoint",
		Attacher: Attacher{Exclusive: true, Detachable: true},
		Manual: Manual{
			Overhead: "about 3 µs, an exception",
			Syntax:   "watchpoint:address:length:mode",
			Doc:      "Runs when memory is read, written or executed: length 1, 2, 4 or 8, mode w, rw or x.",
		},
		Aliases: []string{"w"},
	}
	k.Parse = func(e *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 3); err != nil {
			return nil, err
		}
		if err := noWildcards(k, parts); err != nil {
			return nil, err
		}
		p := &Point{Kind: k, HasAddr: true, PID: e.traced(), Mode: parts[3]}
		var err error
		if p.Addr, _, err = parseCount(parts[1]); err != nil {
			return nil, usage("Invalid function/address argument: %w", err)
		}
		if p.Count, _, err = parseCount(parts[2]); err != nil {
			return nil, usage("Invalid length argument: %w", err)
		}
		if p.Addr == 0 {
			return nil, usage("watchpoint must be attached to a non-zero address")
		}
		switch p.Count {
		case 1, 2, 4, 8:
		default:
			return nil, usage("watchpoint length must be one of (1,2,4,8)")
		}
		mode := []byte(p.Mode)
		sort.Slice(mode, func(i, j int) bool { return mode[i] < mode[j] })
		for i, c := range mode {
			if !strings.ContainsRune("rwx", rune(c)) {
				return nil, usage("watchpoint mode must be combination of (r,w,x)")
			}
			if i > 0 && mode[i-1] == c {
				return nil, usage("watchpoint modes may not be duplicated")
			}
		}
		switch string(mode) {
		case "rw", "w", "x":
		case "r":
			if e.Kernel.Arch() == "amd64" {
				return nil, usage("invalid watchpoint mode: %s: this processor cannot watch for reads alone; x, w and rw are supported", p.Mode)
			}
		case "":
			return nil, usage("watchpoint mode must be combination of (r,w,x)")
		default:
			return nil, usage("invalid watchpoint mode: %s: x, w and rw are supported", p.Mode)
		}
		if p.Mode == "x" || string(mode) == "x" {
			p.Count = 8 // the kernel requires the length of a pointer for instructions
		}
		if p.Addr%p.Count != 0 && string(mode) != "x" {
			return nil, usage("watchpoint address must be a multiple of its length")
		}
		p.Name = strings.Join(append([]string{k.Name}, parts[1:]...), ":")
		return p, nil
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		c, err := perfContext(e, k)
		if err == nil && int64(p.Addr) > 0 { // addresses of the kernel are negative
			c.Args.Space = userSpace
			c.Load.Shape += " of a process"
			c.Load.BareShape = c.Load.Shape
		}
		return c, err
	}
	k.Attach = attachWatchpoint
	return k
}

func attachWatchpoint(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_BREAKPOINT, Ext1: p.Addr, Ext2: p.Count, Sample: 1, Wakeup: 1}
	for _, c := range p.Mode {
		switch c {
		case 'r':
			attr.Bp_type |= 1 // HW_BREAKPOINT_R
		case 'w':
			attr.Bp_type |= 2
		case 'x':
			attr.Bp_type |= 4
		}
	}
	why := map[error]string{
		unix.ENOSPC: "all of the processor's watchpoints are in use (most have four)",
		unix.EINVAL: "the kernel refuses a watchpoint at that address",
		unix.ENOENT: "the kernel has no hardware watchpoints (CONFIG_HAVE_HW_BREAKPOINT)",
	}
	c, err := attachPerfEverywhere(attr, p.PID, prog)
	return c, attachError(p, err, capsTracing, why)
}
