package probes

import (
	"errors"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// The kernel can attach one program to many functions at once (kprobe_multi), and to the
// entries and the returns of functions as one (a session).

// attachKprobeMulti attaches a program to functions. If the kernel refuses one of several,
// the error wraps
// ebpf.ErrNotSupported, and the caller attaches to each of them alone.
func attachKprobeMulti(e *Env, prog *ebpf.Program, ps []*object.Point, ret bool) (io.Closer, error) {
	var byName, byAddr link.KprobeMultiOptions
	for _, p := range ps {
		if p.Count == 0 {
			byName.Symbols = append(byName.Symbols, p.Func)
			continue
		}
		addr, err := homonymAddr(e, p)
		if err != nil {
			return nil, err
		}
		byAddr.Addresses = append(byAddr.Addresses, uintptr(addr))
	}
	var links closers
	attach := func(opts link.KprobeMultiOptions) (err error) {
		if len(opts.Symbols)+len(opts.Addresses) == 0 {
			return nil
		}
		var l link.Link
		if ret {
			l, err = link.KretprobeMulti(prog, opts)
		} else {
			l, err = link.KprobeMulti(prog, opts)
		}
		if err == nil {
			links = append(links, kprobeMultiLink{l})
		}
		return err
	}
	err := attach(byName)
	if err == nil {
		err = attachHomonyms(byAddr.Addresses, attach)
	}
	if err == nil {
		return links, nil
	}
	links.Close()
	if len(ps) > 1 && !errors.Is(err, unix.EPERM) {
		return nil, outline.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	return nil, attachError(ps[0], err, capsTracing, map[error]string{
		unix.ESRCH: "the kernel has no traceable function of that name", unix.ENOENT: "the kernel has no traceable function of that name",
	})
}

// attachHomonyms attaches to functions by their addresses. If there are several and some
// cannot be traced, it attaches to the others.
func attachHomonyms(addrs []uintptr, attach func(link.KprobeMultiOptions) error) error {
	err := attach(link.KprobeMultiOptions{Addresses: addrs})
	if err == nil || len(addrs) == 1 || errors.Is(err, unix.EPERM) {
		return err
	}
	for _, a := range addrs {
		if one := attach(link.KprobeMultiOptions{Addresses: []uintptr{a}}); one == nil {
			err = nil
		}
	}
	return err
}

type kprobeMultiLink struct{ link.Link }

// Missed returns the number of events for which the kernel did not run the program.
func (l kprobeMultiLink) Missed() uint64 {
	info, err := l.Info()
	if err != nil || info.KprobeMulti() == nil {
		return 0
	}
	return info.KprobeMulti().Missed
}

// kprobeSession returns the attach type of programs for the calls and returns of
// functions, or 0. Without FeatSessionOverlap, a session misses most overlapping calls,
// including their entries.
func kprobeSession(e *Env) ebpf.AttachType {
	if !e.Kernel.Has(FeatSessionOverlap) || e.NoFeature[string(FeatKprobeSession)] || !e.Kernel.Has(FeatKprobeSession) {
		return 0
	}
	return ebpf.AttachTraceKprobeSession
}

// joinsKprobes reports whether a probe at p can be part of a session.
func joinsKprobes(p *Point) bool {
	return !p.HasAddr && p.Offset == 0 && p.Count == 0 && (p.Target == "" || p.Target == "vmlinux")
}

// attachKprobeSession attaches a program to the calls and returns of functions.
func attachKprobeSession(_ *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error) {
	syms := make([]string, len(ps))
	for i, p := range ps {
		syms[i] = p.Func
	}
	l, err := link.KprobeMulti(prog, link.KprobeMultiOptions{Symbols: syms, Session: true})
	if err != nil {
		return nil, err
	}
	return kprobeMultiLink{l}, nil
}
