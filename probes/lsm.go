package probes

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// lsmPrefix is the prefix of the functions that represent the security hooks.
const lsmPrefix = "bpf_lsm_"

// lsmKind returns lsm, for the kernel's security hooks. Unless a program decides, which
// needs --unsafe, it returns 0, which permits the operation.
func lsmKind() *Kind {
	k := &Kind{
		Name: "lsm",
		Manual: Manual{
			Overhead: "about 10 ns",
			Syntax:   "lsm:hook",
			Doc:      "Runs at a security hook of the kernel, with its arguments. With --unsafe, a negative result denies the operation.",
		},
	}
	k.Decides = true
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1); err != nil {
			return nil, err
		}
		if parts[1] == "" {
			return nil, usage("lsm needs a hook: write %s", k.Syntax)
		}
		return &Point{Kind: k, Func: parts[1], Name: k.Name + ":" + parts[1]}, nil
	}
	hooks := func(e *Env) ([]string, error) {
		all, err := e.Kernel.Functions()
		var list []string
		for _, f := range all {
			if name, ok := strings.CutPrefix(f, "vmlinux:"+lsmPrefix); ok {
				list = append(list, name)
			}
		}
		return list, err
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if !isWild(p.Func) {
			if _, err := e.Kernel.FuncProto("vmlinux", lsmPrefix+p.Func); errors.Is(err, ErrNotFound) {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			return []*Point{p}, nil
		}
		all, err := hooks(e)
		if err != nil {
			return nil, err
		}
		var out []*Point
		for _, h := range all {
			if wildcard.Match(p.Func, h) {
				q := *p
				q.Func, q.Name = h, k.Name+":"+h
				out = append(out, &q)
			}
		}
		return out, nil
	}
	k.Suggest = func(e *Env, p *Point) string {
		all, _ := hooks(e)
		return nearest(p.Func, all)
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		proto, err := e.Kernel.FuncProto("vmlinux", lsmPrefix+p.Func)
		if err != nil {
			return nil, err
		}
		c := tracingContext(e, p, proto)
		c.Verdict = deniesNegative
		c.Load.Type, c.Load.AttachType, c.Load.AttachTo = ebpf.LSM, ebpf.AttachLSMMac, p.Func
		return c, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		// If BPF is not one of its security modules, the kernel attaches the program
		// but never calls it.
		if list, err := activeLSMs(); err == nil && !slices.Contains(list, "bpf") {
			return nil, &AttachError{p, "the kernel runs without BPF among its security modules (" + strings.Join(list, ",") + "): boot it with lsm=…,bpf", ebpf.ErrNotSupported}
		}
		l, err := link.AttachLSM(link.LSMOptions{Program: prog})
		if err != nil {
			return nil, attachError(p, err, capsTracing, nil)
		}
		return l, nil
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		all, err := hooks(e)
		for _, h := range all {
			if listed(parts[1:], h) && !yield(k.Name+":"+h) {
				break
			}
		}
		return err
	}
	return k
}

// activeLSMs lists the active security modules according to securityfs. It mounts
// securityfs if necessary.
func activeLSMs() ([]string, error) {
	const dir = "/sys/kernel/security"
	text, err := os.ReadFile(dir + "/lsm")
	if errors.Is(err, os.ErrNotExist) && unix.Mount("securityfs", dir, "securityfs", 0, "") == nil {
		text, err = os.ReadFile(dir + "/lsm")
	}
	return strings.Split(strings.TrimSpace(string(text)), ","), err
}
