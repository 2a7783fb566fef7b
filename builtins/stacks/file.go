package stacks

import (
	"errors"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// This file is the part of the walk that finds the file which the kernel has mapped at
// an address. So a process that has just started is unwound before user space knows of
// it, if the tables of its files are made.
//
// The walk searches the process's tree of mappings itself, because bpf_find_vma needs the
// lock of the address space. If interrupts are off, as in a profile probe, that helper can
// take the lock only once for each event. Without the lock the tree may change
// during the search, which then may find nothing. The result is compared with the
// address.

// vmaLayout holds the offsets of the kernel's fields that the search reads.
type vmaLayout struct {
	mm   int64 // struct task_struct
	root int64 // the tree's root in struct mm_struct

	// A maple tree has two kinds of inner nodes. The range nodes are also the leaves.
	maple                        bool
	pivot, rangeSlot, arangeSlot int64
	rangeEnd, arangeEnd          int64 // offsets of the number of the last slot

	rb, left, right int64 // struct vm_area_struct and rb_node, before Linux 6.1

	start, offset, flags, file, ops int64 // struct vm_area_struct
	vmaSize                         int64 // of its beginning with these fields

	inode, mode             int64 // struct file
	ino, super, size        int64 // struct inode
	sec, nsec               int64 // … its time of modification
	inodeStart, inodeSize   int64 // … the part with these fields
	dev                     int64 // struct super_block
	backing                 bool  // the kernel has struct backing_file
	userDentry, dentryInode int64 // struct backing_file, struct dentry

	cast, wordType int64 // numbers of bpf_rdonly_cast and wordStruct, if programs can use it
}

// wordStruct is a kernel's struct that starts with a number of 8 bytes.
const wordStruct = "struct timespec64"

// Kinds of nodes of a maple tree, in bits 3 to 6 of their addresses, and their size.
const (
	mapleLeaf   = 1 // maple_leaf_64
	mapleArange = 3 // maple_arange_64
	mapleSize   = 256
)

// Limits of the search. The tree of a process with the maximum number of mappings is
// lower than these.
const (
	mapleLevels = 10
	mapleSlots  = 16
	rbLevels    = 48
)

// layVMA returns errLayout if the members of a struct are not at the known places.
var errLayout = errors.New("the kernel's structs of mappings are not as known")

// layVMA looks up the offsets.
func layVMA(k probes.Kernel) (*vmaLayout, error) {
	l := &vmaLayout{}
	// find sets off to the offset of a field that has one of the names.
	find := func(off *int64, object string, names ...string) (*types.Type, error) {
		t, err := k.Type(object)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if f, ok := t.Field(name); ok {
				*off += int64(f.Off)
				return f.Type, nil
			}
		}
		return nil, outline.Errorf("%s has no %s", object, names[0])
	}
	type row struct {
		off    *int64
		object string
		field  string
	}
	var end, arangePivot int64
	rows := []row{
		{&l.mm, "struct task_struct", "mm"},
		{&l.start, "struct vm_area_struct", "vm_start"},
		{&end, "struct vm_area_struct", "vm_end"},
		{&l.offset, "struct vm_area_struct", "vm_pgoff"},
		{&l.flags, "struct vm_area_struct", "vm_flags"},
		{&l.file, "struct vm_area_struct", "vm_file"},
		{&l.ops, "struct vm_area_struct", "vm_ops"},
		{&l.inode, "struct file", "f_inode"},
		{&l.mode, "struct file", "f_mode"},
		{&l.ino, "struct inode", "i_ino"},
		{&l.super, "struct inode", "i_sb"},
		{&l.size, "struct inode", "i_size"},
		{&l.dev, "struct super_block", "s_dev"},
	}
	var ignored int64
	if _, err := find(&ignored, "struct mm_struct", "mm_mt"); err == nil {
		l.maple = true
		rows = append(rows,
			row{&l.root, "struct mm_struct", "mm_mt"}, row{&l.root, "struct maple_tree", "ma_root"},
			row{&l.pivot, "struct maple_range_64", "pivot"}, row{&l.rangeSlot, "struct maple_range_64", "slot"},
			row{&arangePivot, "struct maple_arange_64", "pivot"}, row{&l.arangeSlot, "struct maple_arange_64", "slot"},
			row{&l.arangeEnd, "struct maple_arange_64", "meta"}, row{&l.arangeEnd, "struct maple_metadata", "end"},
			row{&l.rangeEnd, "struct maple_metadata", "end"})
	} else {
		rows = append(rows,
			row{&l.root, "struct mm_struct", "mm_rb"}, row{&l.rb, "struct vm_area_struct", "vm_rb"},
			row{&l.left, "struct rb_node", "rb_left"}, row{&l.right, "struct rb_node", "rb_right"})
	}
	for _, r := range rows {
		if _, err := find(r.off, r.object, r.field); err != nil {
			return nil, err
		}
	}
	if end != l.start+8 {
		return nil, errLayout
	}
	if l.maple {
		l.rangeEnd += l.rangeSlot + 8*(mapleSlots-1)
		if arangePivot != l.pivot || l.rangeSlot != l.pivot+8*(mapleSlots-1) || max(l.rangeEnd, l.arangeEnd) > mapleSize-8 {
			return nil, errLayout
		}
	}
	// The time has one of three forms, depending on the kernel.
	if _, err := find(&l.sec, "struct inode", "i_mtime_sec"); err == nil {
		if _, err := find(&l.nsec, "struct inode", "i_mtime_nsec"); err != nil {
			return nil, err
		}
	} else {
		t, err := find(&l.sec, "struct inode", "i_mtime", "__i_mtime")
		if err != nil {
			return nil, err
		}
		sec, ok1 := t.Field("tv_sec")
		nsec, ok2 := t.Field("tv_nsec")
		if !ok1 || !ok2 {
			return nil, errLayout
		}
		l.sec, l.nsec = l.sec+int64(sec.Off), l.sec+int64(nsec.Off)
	}
	l.vmaSize = max(l.start+16, l.offset+8, l.flags+8, l.file+8, l.ops+8)
	l.inodeStart = min(l.ino, l.super, l.size, l.sec, l.nsec)
	l.inodeSize = max(l.ino, l.super, l.size, l.sec, l.nsec) + 8 - l.inodeStart
	if max(l.vmaSize, l.inodeSize) > mapleSize {
		return nil, errLayout
	}
	l.cast, l.wordType = readsInPlace(k)
	if t, err := find(&l.userDentry, "struct backing_file", "user_path"); err == nil {
		if f, ok := t.Field("dentry"); ok {
			l.userDentry += int64(f.Off)
			if _, err := find(&l.dentryInode, "struct dentry", "d_inode"); err == nil {
				l.backing = true
			}
		}
	}
	return l, nil
}

// readsInPlace returns the numbers of bpf_rdonly_cast and of wordStruct, or zeros if programs
// cannot read the kernel's memory in place.
func readsInPlace(k probes.Kernel) (cast, word int64) {
	kf, ok := k.Kfunc("bpf_rdonly_cast")
	t, err := k.Type(wordStruct)
	if !ok || err != nil || t.Split || !k.Has(probes.FeatRdonlyCast) {
		return 0, 0
	}
	return int64(kf), int64(t.BTFID)
}

// canFindFile reports whether programs can find the file that is mapped at an address.
func canFindFile(k probes.Kernel) bool {
	_, err := layVMA(k)
	return err == nil
}

// view returns a function that reads 8 bytes at an offset of a kernel's object, within the
// size bytes from start. If programs cannot read the object in place, those bytes are copied
// to a field. What cannot be read is 0, so that a chain of pointers ends there.
//
//go:noinline
func (w *walker) view(l *vmaLayout, field int, object *ir.Value, start, size int64) func(off int64) *ir.Value {
	if l.wordType != 0 {
		return func(off int64) *ir.Value { return w.peek(l, w.b.AddImm(object, off)) }
	}
	b := w.b
	b.Call(ir.ReadKernel, b.AddImm(w.p, w.lay.at(field)), b.Const(size), b.AddImm(object, start))
	return func(off int64) *ir.Value { return w.b.Load(w.p, w.lay.at(field)+off-start, 8, false) }
}

// peek returns the 8 bytes at an address in the kernel's memory, or 0. It needs no call of
// a helper: the verifier replaces the cast.
//
//go:noinline
func (w *walker) peek(l *vmaLayout, addr *ir.Value) *ir.Value {
	b := w.b
	return b.Load(b.Kfunc("bpf_rdonly_cast", l.cast, ir.PtrBTF, addr, b.Const(l.wordType)), 0, 8, false)
}

// follow returns a pointer in the kernel's memory, or 0.
func (w *walker) follow(l *vmaLayout, from *ir.Value, off int64) *ir.Value {
	return w.view(l, wBuf, from, off, 8)(off)
}

// findFile looks up the mapping and the file of pc.
func (w *walker) findFile(pc *ir.Value) {
	g := w.g
	l, err := layVMA(g.Kernel())
	if err != nil {
		panic("stacks: " + err.Error())
	}
	var task *ir.Value
	if w.r.Task != nil {
		task = w.b.Load(w.p, walkTask, 8, false)
	} else {
		task = w.b.Call(ir.CurrentTask)
	}
	root := w.follow(l, w.follow(l, task, l.mm), l.root)
	w.set(wNode, root)
	if l.maple {
		w.searchMaple(l, pc)
	} else {
		w.searchRB(l, pc)
	}
	mapping := w.view(l, wMaple, w.get(wNode), 0, l.vmaSize)
	start, end := mapping(l.start), mapping(l.start+8)
	w.set(wMapStart, start)
	w.set(wMapEnd, end)
	inside := w.op(ir.OpULt, w.op(ir.OpSub, pc, start), w.op(ir.OpSub, end, start))
	const executable = 4 // VM_EXEC
	code := w.op(ir.OpAnd, mapping(l.flags), w.num(executable))
	w.b.IfElse(w.op(ir.OpAnd, inside, w.op(ir.OpNe, code, w.num(0))), func() *ir.Value {
		file := mapping(l.file)
		w.b.IfElse(file, func() *ir.Value {
			w.set(wFile, file)
			w.set(wMapBase, w.op(ir.OpSub, w.get(wMapStart), w.op(ir.OpShl, mapping(l.offset), w.num(pageShift))))
			w.fileKey(l, w.follow(l, file, l.inode))
			w.findListed(pc)
			if l.backing {
				w.b.If(w.op(ir.OpULe, w.num(unwind.Pending<<48), w.get(wSeg)), func() { w.findUpper(l, pc) })
			}
			return nil
		}, func() *ir.Value {
			// If memory has no file and is not the kernel's own, its code was generated
			// at run time.
			w.b.If(w.not(mapping(l.ops)), func() {
				w.set(wStart, w.get(wMapStart))
				w.set(wEnd, w.get(wMapEnd))
				w.set(wSeg, w.num(unwind.FramePointer<<48))
			})
			return nil
		})
		return nil
	}, func() *ir.Value {
		w.set(wSeg, w.num(noCode<<48))
		return nil
	})
}

// findUpper looks up the file of an overlay to which the mapped file belongs. The
// kernel's records and /proc name one or the other.
func (w *walker) findUpper(l *vmaLayout, pc *ir.Value) {
	backing := int64(1 << 25) // FMODE_BACKING
	if w.g.Kernel().Has(probes.FeatBackingBit24) {
		backing = 1 << 24
	}
	file := w.get(wFile)
	w.b.If(w.op(ir.OpAnd, w.follow(l, file, l.mode), w.num(backing)), func() {
		w.fileKey(l, w.follow(l, w.follow(l, file, l.userDentry), l.dentryInode))
		w.findListed(pc)
	})
}

// fileKey sets the key of a file in FilesMap from its inode.
func (w *walker) fileKey(l *vmaLayout, inode *ir.Value) {
	file := w.view(l, wMaple, inode, l.inodeStart, l.inodeSize)
	w.b.Store(w.p, w.lay.at(wKey)+unwind.FileNsec, 4, file(l.nsec))
	w.set(wInode, file(l.ino))
	w.set(wKey+2, file(l.size))
	w.set(wKey+3, file(l.sec))
	w.b.Store(w.p, w.lay.at(wKey), 4, w.follow(l, file(l.super), l.dev))
}

// findListed looks the address up in the list of the file that wKey names.
func (w *walker) findListed(pc *ir.Value) {
	g := w.g
	files := g.KernelMap(ir.Map{Name: unwind.FilesMap, Type: ir.Hash, KeySize: unwind.FileKeySize, ValueSize: 8, MaxEntries: unwind.MaxFiles})
	b := w.b
	found := b.Call(ir.MapLookup, b.MapPtr(files), b.AddImm(w.p, w.lay.at(wKey)))
	w.b.If(found, func() {
		list := w.b.Load(w.b.NonNil(found), 0, 8, false)
		base := w.get(wMapBase)
		w.findEntry(list, w.op(ir.OpSub, pc, base), func(start, end, origin, _ *ir.Value) {
			w.within(wStart, w.op(ir.OpAdd, start, base), wMapStart, false)
			w.within(wEnd, w.op(ir.OpAdd, end, base), wMapEnd, true)
			w.set(wOrigin, w.op(ir.OpAdd, origin, base))
		})
	})
}

// within sets a field to x, or to the limit if x is beyond it.
func (w *walker) within(field int, x *ir.Value, limit int, above bool) {
	most := w.get(limit)
	w.set(field, x)
	beyond := w.op(ir.OpULt, x, most)
	if above {
		beyond = w.op(ir.OpULt, most, x)
	}
	w.b.If(beyond, func() { w.set(field, most) })
}

// pageShift is the number of bits of an offset in a page of amd64.
const pageShift = 12

// searchMaple goes from the root in wNode to the struct vm_area_struct whose range has
// pc, or to another value. A node has pivots in ascending order: the last address of the
// range of each slot except the last slot. It also has the number of the last slot,
// except in a full leaf, which uses that memory for a slot.
func (w *walker) searchMaple(l *vmaLayout, pc *ir.Value) {
	b := w.b
	b.Count(mapleLevels, func(_ *ir.Value, end *ir.Block) {
		node := w.get(wNode)
		at := w.op(ir.OpAnd, node, w.num(-mapleSize))
		base := w.p // of the node's copy
		if l.wordType == 0 {
			failed := b.Call(ir.ReadKernel, b.AddImm(w.p, w.lay.at(wMaple)), b.Const(mapleSize), at)
			b.Leave(failed, end)
		}
		// word returns the 8 bytes at an offset plus 8 times i.
		word := func(i *ir.Value, off int64) *ir.Value {
			i = b.Op(ir.OpShl, b.Op(ir.OpAnd, i, b.Const(mapleSlots-1)), b.Const(3))
			if l.wordType != 0 {
				return w.peek(l, b.AddImm(b.Op(ir.OpAdd, at, i), off))
			}
			return b.Load(b.Op(ir.OpAdd, base, i), w.lay.at(wMaple)+off, 8, false)
		}
		kind := w.op(ir.OpAnd, w.op(ir.OpShr, node, w.num(3)), w.num(15))
		arange := w.op(ir.OpEq, kind, w.num(mapleArange))
		number := func(off int64) *ir.Value { return w.op(ir.OpAnd, word(b.Const(0), off), w.num(0xff)) }
		last := b.IfElse(arange, func() *ir.Value { return number(l.arangeEnd) }, func() *ir.Value {
			full := word(b.Const(0), l.rangeSlot-8)
			return b.IfElse(full, func() *ir.Value { return w.num(mapleSlots - 1) }, func() *ir.Value { return number(l.rangeEnd) })
		})
		n := &ir.Var{Name: "slot", Type: ir.Int}
		b.Write(n, w.num(0))
		b.Count(mapleSlots-1, func(i *ir.Value, found *ir.Block) {
			b.Leave(w.op(ir.OpULe, last, i), found)
			b.Leave(w.op(ir.OpULe, pc, word(i, l.pivot)), found)
			b.Write(n, w.op(ir.OpAdd, i, w.num(1)))
		})
		i := b.Read(n)
		w.set(wNode, b.IfElse(arange, func() *ir.Value { return word(i, l.arangeSlot) }, func() *ir.Value { return word(i, l.rangeSlot) }))
		b.Leave(w.op(ir.OpEq, kind, w.num(mapleLeaf)), end)
	})
}

// searchRB does the same in a tree of struct rb_node.
func (w *walker) searchRB(l *vmaLayout, pc *ir.Value) {
	b := w.b
	b.Count(rbLevels, func(_ *ir.Value, end *ir.Block) {
		node := w.get(wNode)
		b.Leave(w.not(node), end)
		mapping := w.view(l, wMaple, node, l.start-l.rb, 16)
		start := mapping(l.start - l.rb)
		left := w.op(ir.OpULt, pc, start)
		inside := w.op(ir.OpULt, w.op(ir.OpSub, pc, start), w.op(ir.OpSub, mapping(l.start-l.rb+8), start))
		next := w.op(ir.OpAdd, w.num(l.right), w.op(ir.OpMul, left, w.num(l.left-l.right)))
		b.Leave(inside, end)
		w.set(wNode, w.follow(l, w.op(ir.OpAdd, w.get(wNode), next), 0))
	})
	w.set(wNode, w.op(ir.OpSub, w.get(wNode), w.num(l.rb)))
}
