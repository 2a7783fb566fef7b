package probes

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Runner is implemented by closers from Attach whose probe must be run. Run is called
// once, after all probes are attached. It returns when the probe has ended.
type Runner interface{ Run() error }

// iterKind returns iter, which iterates over the kernel's objects of one kind. The
// kernel calls the program for each object, and then once more without one.
func iterKind() *Kind {
	k := &Kind{
		Name:     "iter",
		Attacher: Attacher{Exclusive: true, Alone: true},
		Manual: Manual{
			Overhead: "about 50 ns per object",
			Syntax:   "iter:name[:pin]",
			Doc:      "Runs once for each task, file, map … the kernel has; ctx has the object. With a pin, it runs whenever that file is read, which then contains what printf writes.",
		},
		Aliases: []string{"it"},
		Traits:  Traits{Paths: true, Confine: ByObject},
	}
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1, 2); err != nil {
			return nil, err
		}
		if err := noWildcards(k, parts); err != nil {
			return nil, err
		}
		p := &Point{Kind: k, Func: parts[1], Name: k.Name + ":" + parts[1]}
		if p.Func == "" {
			return nil, usage("iter needs a name: write %s", k.Syntax)
		}
		if len(parts) == 3 && parts[2] != "" {
			p.Mode = parts[2]
			if !filepath.IsAbs(p.Mode) {
				p.Mode = filepath.Join("/sys/fs/bpf", p.Mode)
			}
		}
		return p, nil
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if !slices.Contains(e.Kernel.Iterators(), p.Func) {
			// If BTF cannot be read, there are no iterators.
			if _, err := e.Kernel.Type("struct bpf_iter_meta"); err != nil && !errors.Is(err, ErrNotFound) {
				return nil, err
			}
			return nil, noIterator(p.Func)
		}
		return []*Point{p}, nil
	}
	k.Suggest = func(e *Env, p *Point) string { return nearest(p.Func, e.Kernel.Iterators()) }
	k.Context = func(e *Env, p *Point) (*Context, error) {
		t, err := e.Kernel.Type("struct bpf_iter__" + p.Func)
		if err != nil {
			return nil, err
		}
		c := &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: p.Func},
			Ctx:    RawContext{Type: iterContext(t), EndMark: iterObject(t), Nullable: true},
			Args:   Args{Space: kernelSpace},
			InTask: true,
			Stacks: true, OtherTasks: true,
			Pinned: p.Mode != "",
		}
		if proto, err := e.Kernel.FuncProto("", "bpf_iter_"+p.Func); err == nil {
			// The first parameter is common to all iterators: struct bpf_iter_meta.
			if proto.Decls != nil && len(proto.Params) > 0 {
				c.Args.Lines = func() []string { return proto.Decls()[1:] }
			}
		}
		return c, confineIter(e, p, c)
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		it, err := attachIter(prog, p.PID)
		if err != nil {
			return nil, attachError(p, err, capsTracing, map[error]string{unix.EINVAL: "the kernel's iterator " + p.Func + " needs an object to iterate over, such as a map, which scripts cannot name"})
		}
		if p.Mode == "" {
			return &iterRun{it}, nil
		}
		if err := it.Pin(p.Mode); err != nil {
			it.Close()
			msg := fmt.Sprintf("it cannot be pinned at %s: %v", p.Mode, err)
			if errors.Is(err, unix.EEXIST) {
				msg = fmt.Sprintf("it cannot be pinned: %s exists already", p.Mode)
			}
			return nil, &AttachError{p, msg, err}
		}
		return &iterPin{Iter: it, path: p.Mode}, nil
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		for _, name := range e.Kernel.Iterators() {
			if listed(parts[1:], name) && !yield(k.Name+":"+name) {
				break
			}
		}
		return nil
	}
	return k
}

// confineIter confines an iterator over objects of processes to the processes that the
// flags select. With FeatIterTask, the kernel does that for -p. Without, the program
// tests the process of each object.
func confineIter(e *Env, p *Point, c *Context) error {
	task, ok := c.Ctx.Type.Field("task")
	if !ok || task.Type.Kind != types.Pointer {
		for _, flag := range e.flags() {
			c.Only.Unconfined = append(c.Only.Unconfined, fmt.Sprintf("%s has no effect on %s: its objects belong to no process", flag, p.Name))
		}
		return nil
	}
	object := func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		v := b.Load(ctx, int64(task.Off), 8, false)
		v.Type = ir.PtrBTF
		return v
	}
	if !e.Scope.Empty() {
		c.Only.Scope, c.Only.Task = &e.Scope, object
	}
	if e.PID == 0 || e.Scope.Follow {
		return nil
	}
	if e.Kernel.Has(FeatIterTask) {
		p.PID = e.PID
		return nil
	}
	if e.ForeignPIDs {
		return usage("%s", Needs(e.Kernel, "-p with iterators outside of the initial pid namespace", FeatIterTask))
	}
	tgid, ok := task.Type.Elem.Field("tgid")
	if !ok {
		return usage("-p with iterators needs the kernel's BTF of struct task_struct")
	}
	c.Only.PID = e.PID
	c.Only.Owner = func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		return b.Load(object(b, ctx), int64(tgid.Off), 4, false)
	}
	return nil
}

// attachIter creates the link of an iterator over all objects or, if pid is not 0,
// over those of a process.
func attachIter(prog *ebpf.Program, pid int) (*link.Iter, error) {
	if pid == 0 {
		return link.AttachIter(link.IterOptions{Program: prog})
	}
	// union bpf_iter_link_info and bpf_attr of BPF_LINK_CREATE.
	info := struct{ tid, pid, pidFD uint32 }{pid: uint32(pid)}
	attr := struct {
		prog, target, attach, flags uint32
		info                        uint64
		infoLen                     uint32
		_                           uint32
	}{
		prog: uint32(prog.FD()), attach: uint32(ebpf.AttachTraceIter),
		info: uint64(uintptr(unsafe.Pointer(&info))), infoLen: uint32(unsafe.Sizeof(info)),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(&info)
	if errno != 0 {
		return nil, errno
	}
	l, err := link.NewFromFD(int(fd))
	if err != nil {
		return nil, err
	}
	it, ok := l.(*link.Iter)
	if !ok {
		l.Close()
		return nil, outline.Errorf("the link of an iterator is a %T", l)
	}
	return it, nil
}

// WalkTasks runs a program of the iterator over tasks for each task or, if pid is not 0,
// for those of a process.
func WalkTasks(prog *ebpf.Program, pid int) error {
	it, err := attachIter(prog, pid)
	if err != nil {
		return err
	}
	defer it.Close()
	return (&iterRun{it}).Run()
}

// noIterator is the error for an iterator that does not exist in the kernel. It
// contains the name.
type noIterator string

func (n noIterator) Error() string {
	return "iter " + string(n) + " not available for your kernel version."
}

func (n noIterator) Unwrap() error { return ErrNotFound }

// iterObject returns the offset in struct bpf_iter__NAME of the pointer to the
// object, which is the second member. It is null in the call after the last object.
func iterObject(t *types.Type) int64 {
	if m := t.Members(); len(m) > 1 {
		return int64(m[1].Off)
	}
	return 0
}

// iterContext returns struct bpf_iter__NAME as the type of a context, whose pointers
// the verifier trusts. Each member is in an anonymous union that pads it to 8 bytes.
func iterContext(t *types.Type) *types.Type {
	c := *t
	c.Space = types.Ctx
	c.Comp = types.NewComposite(false, func() []types.Field {
		var fields []types.Field
		for _, f := range t.Members() {
			inner, off := f.Type.Members(), f.Off
			if f.Name != "" || f.Type.Kind != types.Struct || len(inner) == 0 {
				inner, off = []types.Field{f}, 0
			}
			for _, g := range inner {
				g.Off += off
				if g.Type.Kind == types.Pointer && g.Type.Elem.Kind == types.Struct {
					g.Type = types.NewPointer(g.Type.Elem.InSpace(types.BTF), types.BTF)
				}
				fields = append(fields, g)
			}
		}
		return fields
	})
	return &c
}

// iterRun is an iterator that runs once.
type iterRun struct{ *link.Iter }

// Run reads the iterator to its end, so that the program runs for each object. It
// discards the output that the program writes to the iterator.
func (r *iterRun) Run() error {
	f, err := r.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	if err != nil && strings.Contains(err.Error(), "file already closed") {
		return nil
	}
	return err
}

// iterPin is an iterator that is pinned to a file, for others to read. Close removes the
// file unless Run was called, that is, unless the session has started.
type iterPin struct {
	*link.Iter
	path string
	ran  bool
}

// Run does nothing, because other processes read the iterator.
func (i *iterPin) Run() error {
	i.ran = true
	return nil
}

// PinnedAt returns the path of the file.
func (i *iterPin) PinnedAt() string { return i.path }

func (i *iterPin) Close() error {
	if !i.ran {
		i.Unpin()
	}
	return i.Iter.Close()
}
