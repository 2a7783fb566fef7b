package probes

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// errorInjection is the file of debugfs that lists the functions that may be made to
// fail, one per line: the name, the module and the kind of error.
const errorInjection = "/sys/kernel/debug/error_injection/list"

const notReplaceable = "the kernel lets programs replace only the security hooks (security_…) and the functions in " + errorInjection

// fmodRetKind returns fmod_ret, for programs that run before a kernel function and can
// return a result instead of running it. The kernel allows that for the security hooks
// and for the functions in errorInjection.
func fmodRetKind() *Kind {
	k := &Kind{
		Name: "fmod_ret",
		Manual: Manual{
			Overhead: "about 20 ns",
			Syntax:   "fmod_ret:[module:]function",
			Doc:      "Runs where a kernel function is called that may be made to fail, with its arguments. With --unsafe, a result other than 0 replaces the call.",
		},
	}
	k.Decides, k.FuncArgs, k.Paths = true, true, true
	k.Parse = func(_ *Env, parts []string) (*Point, error) { return parseFentry(k, parts) }
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if p.Target == "bpf" {
			return nil, usage("fmod_ret takes a kernel function")
		}
		if !isWild(p.Func) && !isWild(p.Target) {
			return expandFentry(e, p)
		}
		all, err := modifiable(e)
		var out []*Point
		for _, f := range all {
			mod, fn, _ := strings.Cut(f, ":")
			if !wildcard.Match(p.Func, fn) || p.Target != "" && !wildcard.Match(p.Target, mod) {
				continue
			}
			q := *p
			q.Target, q.Func, q.Name = mod, fn, k.Name+":"+f
			out = append(out, &q)
		}
		return out, err
	}
	k.Suggest = func(e *Env, p *Point) string {
		all, _ := modifiable(e)
		return functionLike(p.Func, all)
	}
	k.Lacks = func(e *Env, p *Point) string {
		why := withoutBTF(e, p)
		all, _ := e.Kernel.Functions()
		if why == "" && slices.ContainsFunc(all, func(f string) bool { return wildcard.Match(cmp.Or(p.Target, "*")+":"+p.Func, f) }) {
			why = notReplaceable
		}
		return why
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		c, err := fentryContext(e, p, false)
		if err != nil {
			return nil, err
		}
		proto, err := e.Kernel.FuncProto(p.Target, p.Func)
		if err != nil {
			return nil, err
		}
		c.Load.AttachType = ebpf.AttachModifyReturn
		c.Verdict.What = "call"
		if t := proto.Result; t.IsInteger() && t.Signed && t.Kind != types.Bool {
			c.Verdict = deniesNegative
		}
		return c, nil
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		c, err := attachTracing(e, prog, p)
		if errors.Is(err, unix.EINVAL) {
			return nil, &AttachError{p, notReplaceable, err}
		}
		return c, err
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		all, err := modifiable(e)
		k.listPairs(all, parts, yield)
		return err
	}
	return k
}

// modifiable lists the functions that fmod_ret can be attached to, in order.
func modifiable(e *Env) (list []string, err error) {
	add := func(module, name string) {
		if p, err := e.Kernel.FuncProto(module, name); err == nil && !p.Variadic && untraceable(e, p) == "" && p.Result.Kind != types.Void {
			list = append(list, p.Module+":"+name)
		}
	}
	if text, err := os.ReadFile(errorInjection); err == nil {
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 {
				add(strings.Trim(f[1], "[]"), f[0])
			}
		}
	}
	all, err := e.Kernel.Functions()
	for _, f := range all {
		if name, ok := strings.CutPrefix(f, "vmlinux:security_"); ok {
			add("vmlinux", "security_"+name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), err
}
