// Package paths has the code that finds the path of a file where the kernel has no helper
// for it: it walks from the file to the root of the current task.
package paths

import (
	"math/bits"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/outline"
	"golang.org/x/sys/unix"
)

// Layout holds the offsets of the kernel's fields that a walk from a file to the
// root reads.
type Layout struct {
	pathMnt, pathDentry int64 // struct path
	FilePath            int64 // struct file
	ProgramFile         int64 // struct linux_binprm
	taskFS, fsRoot      int64 // struct task_struct, struct fs_struct

	// Offsets in struct dentry. All are in [first, end), and those that each step of
	// the walk reads are in [stepFirst, stepEnd).
	pprev, parent, nameLen, name, inode, op, super int64
	first, end, stepFirst, stepEnd                 int64

	dname, magic, ino, private int64 // offsets in struct dentry_operations, super_block, inode
	nsOps, nsName              int64 // offsets in struct ns_common, proc_ns_operations

	mntRoot                       int64 // offset in struct vfsmount
	mount, mountParent, mountedOn int64 // offsets in struct mount; mount is that of its struct vfsmount
}

// New looks up the offsets.
func New(k probes.Kernel) (*Layout, error) {
	l := &Layout{}
	for _, row := range []struct {
		off    *int64
		object string
		fields []string
	}{
		{&l.pathMnt, "struct path", []string{"mnt"}},
		{&l.pathDentry, "struct path", []string{"dentry"}},
		{&l.FilePath, "struct file", []string{"f_path"}},
		{&l.ProgramFile, "struct linux_binprm", []string{"file"}},
		{&l.taskFS, "struct task_struct", []string{"fs"}},
		{&l.fsRoot, "struct fs_struct", []string{"root"}},
		{&l.pprev, "struct dentry", []string{"d_hash", "pprev"}},
		{&l.parent, "struct dentry", []string{"d_parent"}},
		{&l.nameLen, "struct dentry", []string{"d_name", "len"}},
		{&l.name, "struct dentry", []string{"d_name", "name"}},
		{&l.inode, "struct dentry", []string{"d_inode"}},
		{&l.op, "struct dentry", []string{"d_op"}},
		{&l.super, "struct dentry", []string{"d_sb"}},
		{&l.dname, "struct dentry_operations", []string{"d_dname"}},
		{&l.magic, "struct super_block", []string{"s_magic"}},
		{&l.ino, "struct inode", []string{"i_ino"}},
		{&l.private, "struct inode", []string{"i_private"}},
		{&l.nsOps, "struct ns_common", []string{"ops"}},
		{&l.nsName, "struct proc_ns_operations", []string{"name"}},
		{&l.mntRoot, "struct vfsmount", []string{"mnt_root"}},
		{&l.mount, "struct mount", []string{"mnt"}},
		{&l.mountParent, "struct mount", []string{"mnt_parent"}},
		{&l.mountedOn, "struct mount", []string{"mnt_mountpoint"}},
	} {
		t, err := k.Type(row.object)
		if err != nil {
			return nil, err
		}
		for _, name := range row.fields {
			f, ok := t.Field(name)
			if !ok {
				return nil, outline.Errorf("%s has no %s", t, name)
			}
			*row.off += int64(f.Off)
			t = f.Type
		}
	}
	l.stepFirst, l.stepEnd = min(l.parent, l.nameLen, l.name), max(l.parent, l.nameLen, l.name)+8
	l.first, l.end = min(l.stepFirst, l.pprev, l.inode, l.op, l.super), max(l.stepEnd-8, l.pprev, l.inode, l.op, l.super)+8
	return l, nil
}

// Offsets of the words of a walk's memory. A copy of the dentry follows them, and then
// the path, which grows from its end to its beginning.
const (
	atDentry  = 8 * iota // the current dentry
	atMnt                // its struct vfsmount
	atTop                // the root of the file system that is mounted there
	atRoot               // the task's root: a dentry and
	atRootMnt            // a struct vfsmount
	atPos                // the offset of the path's first character
	atEnd                // the offset of the end of the path's directories
	atState
	atScratch
	atCopy
)

// The states of a walk.
const (
	pathWalking = iota
	pathDone
	pathFault
)

const (
	nameMax  = 255
	pathMax  = 4096 // the kernel's own limit
	overhead = 32   // bytes for additions to the names, such as " (deleted)"
	// On a kernel that verifies each iteration, a walk has at most freeTurns of them, and
	// fewer if a program has many walks. If a path has more directories, its beginning is
	// lost, as if it had more characters than its size.
	freeTurns = 256
	leastFree = 16
	// verifierRoom is the number of instructions that the verifier may process for all
	// walks of a program. It is less than half of the verifier's limit, because Linux 5.10
	// processes more than the sum if a program has many walks. The verifier processes
	// startCost instructions for the start of a walk and turnCost for an iteration.
	verifierRoom = 400_000
	startCost    = 5000
	turnCost     = 180
	// mountTurns is the number of iterations for mounts on mounts, which add no name.
	mountTurns = 32
)

// Walk is a walk from a file to the root of the current task. Its result is that of
// d_path in fs/d_path.c.
type Walk struct {
	Layout *Layout
	Size   int  // of the result, including its NUL
	Calls  int  // number of walks of the program
	Bare   bool // it starts at a struct dentry, not at a struct path
	Failed func()
}

// walker emits a walk.
type walker struct {
	g     code.Gen
	b     *ir.Builder
	lay   *Layout
	p     *ir.Value  // the walk's memory
	size  int64      // of the result, including its NUL
	leave code.Leave // valid during an iteration
}

// room returns the number of characters that fit into the walk's memory. It is a power
// of two, so that the verifier knows the range of a masked offset.
//
//go:noinline
func (w *walker) room() int64 { return 1 << bits.Len64(uint64(w.size+nameMax+overhead)) }

func (w *walker) atPath() int64 { return atCopy + types.RoundUp(w.lay.end-w.lay.first, 8) }

//go:noinline
func (w *walker) get(off int64) *ir.Value { return w.b.Load(w.p, off, 8, false) }

//go:noinline
func (w *walker) set(off int64, x *ir.Value) { w.b.Store(w.p, off, 8, x) }

//go:noinline
func (w *walker) num(n int64) *ir.Value { return w.b.Const(n) }

//go:noinline
func (w *walker) same(x, y *ir.Value) *ir.Value { return w.b.Op(ir.OpEq, x, y) }

// field returns a word of the copied dentry, or the length of its name.
//
//go:noinline
func (w *walker) field(off int64) *ir.Value {
	size := 8
	if off == w.lay.nameLen {
		size = 4
	}
	return w.b.Load(w.p, atCopy+off-w.lay.first, size, false)
}

// read copies size bytes of kernel memory at src+from to the walk's memory. If there is
// no such memory, it zeroes them and returns a negative number.
//
//go:noinline
func (w *walker) read(off, size int64, src *ir.Value, from int64) *ir.Value {
	b := w.b
	return b.Call(ir.ReadKernel, b.AddImm(w.p, off), b.Const(size), b.AddImm(src, from))
}

// word returns the word of kernel memory at src+from, or 0.
//
//go:noinline
func (w *walker) word(src *ir.Value, from int64) *ir.Value {
	w.read(atScratch, 8, src, from)
	return w.get(atScratch)
}

// stop ends the walk with a state if cond is not 0.
//
//go:noinline
func (w *walker) stop(cond *ir.Value, state int64) {
	w.leave(cond, func() { w.set(atState, w.num(state)) })
}

//go:noinline
func (w *walker) failed(r *ir.Value) *ir.Value { return w.b.Op(ir.OpSLt, r, w.num(0)) }

// Emit emits the walk from the object at p. It writes the path to dst+off and returns its
// length including the NUL. If the path is not found, it writes an empty string and emits
// Failed.
func (r *Walk) Emit(g code.Gen, p, dst *ir.Value, off int64) *ir.Value {
	b := g.B()
	w := &walker{g: g, b: b, lay: r.Layout, size: int64(min(r.Size, pathMax))}
	w.p = g.Temp(int(w.atPath() + w.room() + nameMax + 1))
	w.set(atState, w.num(pathWalking))
	w.set(atPos, w.num(w.room()))
	b.Store(w.p, w.atPath()+w.room(), 1, b.Const(0))
	if p = b.AsInt(p); r.Bare {
		w.startBare(p)
	} else {
		w.start(p)
	}
	turns := w.size/2 + mountTurns
	if !g.Kernel().Has(probes.FeatLoop) {
		turns = min(turns, freeWalk(r.Calls))
	}
	g.Repeat(int(turns), w.p, func(g code.Gen, p *ir.Value, leave code.Leave) {
		in := &walker{g: g, b: g.B(), lay: w.lay, p: p, size: w.size, leave: leave}
		in.turn()
	})
	found := w.same(w.get(atState), w.num(pathDone))
	if turns < w.size/2 {
		found = b.Op(ir.OpNe, w.get(atState), w.num(pathFault))
	}
	return b.IfElse(found, func() *ir.Value {
		b.If(w.same(w.get(atPos), w.get(atEnd)), func() { w.text("/") })
		// Leave out everything before the last size-1 characters.
		first := w.num(w.room() - (w.size - 1))
		pos := w.get(atPos)
		from := b.IfElse(b.Op(ir.OpULt, pos, first), func() *ir.Value { return first }, func() *ir.Value { return pos })
		return g.ReadStr(dst, off, w.num(w.size), int(w.size), w.at(from), types.Kernel)
	}, func() *ir.Value {
		b.Store(dst, off, 1, b.Const(0))
		r.Failed()
		return b.Const(1)
	})
}

// freeWalk returns the number of iterations of each of n walks of a program, on a kernel
// that verifies each iteration.
func freeWalk(n int) int64 {
	return min(freeTurns, max(leastFree, (verifierRoom/int64(n)-startCost)/turnCost))
}

// start sets the state for the struct path at p. It writes the end of the path, which
// follows the names of directories.
func (w *walker) start(p *ir.Value) {
	l := w.lay
	b := w.b
	fs := w.word(b.Op(ir.OpAdd, b.Call(ir.CurrentTask), w.num(l.taskFS)), 0)
	w.read(atRoot, 8, fs, l.fsRoot+l.pathDentry)
	w.read(atRootMnt, 8, fs, l.fsRoot+l.pathMnt)
	r := w.read(atDentry, 8, p, l.pathDentry)
	r = b.Op(ir.OpOr, r, w.read(atMnt, 8, p, l.pathMnt))
	w.begin(b.Op(ir.OpOr, r, w.read(atTop, 8, w.get(atMnt), l.mntRoot)))
}

// startBare does the same for the struct dentry at p, whose mount is not known. The
// path ends at the root of its file system.
func (w *walker) startBare(p *ir.Value) {
	for _, off := range []int64{atRoot, atRootMnt, atTop} {
		w.set(off, w.num(0))
	}
	w.set(atMnt, w.num(noMount))
	w.set(atDentry, p)
	w.begin(w.num(0))
}

// noMount stands for the address of the struct vfsmount that is not known.
const noMount = 1

// begin copies the dentry and writes the part of the path after the directories. If r is
// negative, the walk has failed.
func (w *walker) begin(r *ir.Value) {
	l := w.lay
	b := w.b
	dentry := w.get(atDentry)
	r = b.Op(ir.OpOr, r, w.read(atCopy, l.end-l.first, dentry, l.first))
	b.If(w.failed(r), func() { w.set(atState, w.num(pathFault)) })

	named := w.word(w.field(l.op), l.dname)
	b = w.b
	top := w.same(dentry, w.field(l.parent))
	mounted := b.Op(ir.OpAnd, top, w.same(dentry, w.get(atTop)))
	own := b.Op(ir.OpAnd, b.Op(ir.OpNe, named, w.num(0)), b.Op(ir.OpXor, mounted, w.num(1)))
	b.IfElse(own, func() *ir.Value {
		w.set(atEnd, w.num(0))
		w.ownName()
		w.b.If(w.same(w.get(atState), w.num(pathWalking)), func() { w.set(atState, w.num(pathDone)) })
		return nil
	}, func() *ir.Value {
		b := w.b
		gone := b.Op(ir.OpAnd, w.same(w.field(l.pprev), w.num(0)), b.Op(ir.OpXor, top, w.num(1)))
		b.If(gone, func() { w.text(" (deleted)") })
		w.set(atEnd, w.get(atPos))
		return nil
	})
}

// ownName writes the name of a file that is not in a directory. Each file system of
// such files has its own function for names. The magic number identifies the file
// system.
func (w *walker) ownName() {
	l := w.lay
	magic := w.word(w.field(l.super), l.magic)
	is := func(n int64) *ir.Value { return w.same(magic, w.num(n)) }
	choose := func(cond *ir.Value, then, els func()) {
		w.b.IfElse(cond, func() *ir.Value { then(); return nil }, func() *ir.Value { els(); return nil })
	}
	text := func(s string) func() { return func() { w.text(s) } }
	pipe, socket, space := is(unix.PIPEFS_MAGIC), is(unix.SOCKFS_MAGIC), is(unix.NSFS_MAGIC)
	b := w.b
	choose(b.Op(ir.OpOr, b.Op(ir.OpOr, pipe, socket), space), func() {
		w.text("]")
		w.number(w.word(w.field(l.inode), l.ino))
		w.text(":[")
		choose(pipe, text("pipe"), func() { choose(socket, text("socket"), w.namespace) })
	}, func() {
		choose(is(unix.PID_FS_MAGIC), text("anon_inode:[pidfd]"), func() {
			choose(is(unix.ANON_INODE_FS_MAGIC), func() {
				w.component()
				w.text("anon_inode:")
			}, func() {
				choose(is(unix.DMA_BUF_MAGIC), text(":"), text(" (deleted)"))
				w.component()
				w.text("/")
			})
		})
	})
}

// namespace writes the name of a namespace's kind, such as "mnt". It overwrites the
// copy of the dentry.
func (w *walker) namespace() {
	l := w.lay
	name := w.word(w.word(w.word(w.field(l.inode), l.private), l.nsOps), l.nsName)
	b := w.b
	n := b.Call(ir.ReadKernelStr, b.AddImm(w.p, atCopy), w.num(l.end-l.first), name)
	b.Unless(w.failed(n), func() { w.prepend(w.b.Op(ir.OpSub, n, w.num(1)), name) })
}

// turn emits one step of the walk: to the parent directory of a dentry, or to the
// directory on which its file system is mounted.
func (w *walker) turn() {
	l := w.lay
	w.leave(w.get(atState), nil)
	b := w.b
	dentry := w.get(atDentry)
	w.stop(b.Op(ir.OpAnd, w.same(dentry, w.get(atRoot)), w.same(w.get(atMnt), w.get(atRootMnt))), pathDone)
	b = w.b
	b.IfElse(w.same(dentry, w.get(atTop)), func() *ir.Value {
		b := w.b
		mount := b.Op(ir.OpSub, w.get(atMnt), w.num(l.mount))
		r := w.read(atScratch, 8, mount, l.mountParent)
		r = b.Op(ir.OpOr, r, w.read(atDentry, 8, mount, l.mountedOn))
		w.stop(w.failed(r), pathFault)
		up := w.get(atScratch)
		w.stop(w.same(up, mount), pathDone)
		w.set(atMnt, w.b.AddImm(up, l.mount))
		w.stop(w.failed(w.read(atTop, 8, up, l.mount+l.mntRoot)), pathFault)
		return nil
	}, func() *ir.Value {
		w.stop(w.failed(w.read(atCopy+l.stepFirst-l.first, l.stepEnd-l.stepFirst, dentry, l.stepFirst)), pathFault)
		parent := w.field(l.parent)
		// The file is not below what is mounted there, or its mount is not known.
		w.leave(w.same(parent, dentry), func() {
			w.b.Unless(w.same(w.get(atMnt), w.num(noMount)), func() { w.set(atPos, w.get(atEnd)) })
			w.set(atState, w.num(pathDone))
		})
		w.stop(w.failed(w.component()), pathFault)
		w.text("/")
		w.set(atDentry, parent)
		b := w.b
		w.stop(b.Op(ir.OpULe, w.get(atPos), w.num(w.room()-(w.size-1))), pathDone)
		return nil
	})
}

// at returns the address of a character of the path.
//
//go:noinline
func (w *walker) at(off *ir.Value) *ir.Value {
	b := w.b
	return b.Op(ir.OpAdd, b.AddImm(w.p, w.atPath()), b.Op(ir.OpAnd, off, w.num(w.room()-1)))
}

// prepend inserts n characters at src, at most nameMax, before the path.
func (w *walker) prepend(n, src *ir.Value) *ir.Value {
	b := w.b
	n = b.Op(ir.OpAnd, n, w.num(nameMax))
	pos := b.Op(ir.OpSub, w.get(atPos), n)
	w.set(atPos, pos)
	return b.Call(ir.ReadKernel, w.at(pos), n, src)
}

// component inserts the name of the dentry before the path.
//
//go:noinline
func (w *walker) component() *ir.Value {
	return w.prepend(w.field(w.lay.nameLen), w.field(w.lay.name))
}

// text inserts s before the path.
func (w *walker) text(s string) {
	b := w.b
	pos := b.Op(ir.OpSub, w.get(atPos), w.num(int64(len(s))))
	w.set(atPos, pos)
	at := w.at(pos)
	for i := range len(s) {
		b.Store(at, int64(i), 1, w.num(int64(s[i])))
	}
}

// number inserts x in decimal before the path.
func (w *walker) number(x *ir.Value) {
	rest := &ir.Var{Name: "rest", Type: ir.Int}
	b := w.b
	b.Write(rest, x)
	b.Count(20, func(_ *ir.Value, out *ir.Block) {
		n := b.Read(rest)
		pos := b.Op(ir.OpSub, w.get(atPos), w.num(1))
		w.set(atPos, pos)
		b.Store(w.at(pos), 0, 1, b.Op(ir.OpAdd, b.Op(ir.OpUMod, n, w.num(10)), w.num('0')))
		n = b.Op(ir.OpUDiv, n, w.num(10))
		b.Write(rest, n)
		b.Leave(b.Op(ir.OpEq, n, w.num(0)), out)
	})
}
