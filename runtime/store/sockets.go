package store

import (
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// A sockets store keeps a map whose keys are sockets: each value is in the memory of its
// socket and is freed with it. So the map has no maximum number of entries, and a new
// socket at the address of an old one has no entry. At the end, the map has entries for
// the sockets that still exist.
//
// This suits the state of a socket: values that programs assign at one event, and read or
// delete at another. Sums, counts, aggregations, and values that are only assigned and
// printed at the end, are results that outlast their sockets. They are kept by address in
// another store.
//
// Programs pass the socket to the kernel, whose verifier must know that the pointer is a
// socket. In user space, the key is the address of the socket. User space reads the
// entries with a kernel iterator.
type sockets struct {
	m    *ir.Map
	name string
	span source.Span
	size int // of a value in bytes
}

// socketUses are the operations that programs can perform on a map of sockets.
const socketUses = Read | Assign | Delete | Whole | Reset | OtherThread

// maxSocketValue is the maximum size of a value in bytes. The limit for all storage of a
// socket, net.core.optmem_max, is 20 KiB on old kernels.
const maxSocketValue = 4096

var socketsKind = kind{
	name: "sockets",
	own:  1,
	fits: func(l *layout, s *Spec) bool {
		return s.Sockets && !s.isAgg() && !s.Declared && !l.NoTables && s.Uses&^socketUses == 0 && s.Uses&(Read|Delete) != 0 && s.valueSize() <= maxSocketValue
	},
	plan:   newSockets,
	extras: nil,
	check: func(c *claims, m *object.Map) error {
		km, err := c.find(m.Kernel, ebpf.SkStorage)
		if err != nil {
			return err
		}
		if !isSocket(m.Key) || m.PerCPU || km.KeySize != 4 || km.ValueSize != max(m.Value.Size, 1) || m.Value.Size > maxSocketValue {
			return outline.Errorf("%s has other values than sockets keep", m.Kernel)
		}
		return c.own(m.Kernel, 0)
	},
	open: openSockets,
}

// isSocket reports whether t is the type of pointers to sockets.
func isSocket(t *types.Type) bool {
	return t != nil && t.Kind == types.Pointer && t.Size == 8 && t.Elem != nil && t.Elem.Kind == types.Struct && t.Elem.Name == "struct sock"
}

// IsSocket reports whether the kernel's verifier knows a key of type t as a socket.
func IsSocket(t *types.Type) bool { return isSocket(t) && t.Space == types.BTF }

const noPrealloc = 1 // BPF_F_NO_PREALLOC

func newSockets(l *layout, s *Spec, m *object.Map) Store {
	km := l.newMap(ir.Map{Name: kernelName(s.Name), Type: ir.SkStorage, KeySize: 4, ValueSize: s.valueSize(), Flags: noPrealloc})
	m.Kernel, m.Max = km.Name, 0
	return &sockets{m: km, name: s.Name, span: s.Span, size: s.valueSize()}
}

func (s *sockets) Traits() Traits           { return Traits{Programs: s.programs()} }
func (s *sockets) Parts() []Part            { return []Part{{Map: s.m}} }
func (s *sockets) Address(Gen) *ir.Value    { panic("store: the entries of sockets are not in a table") }
func (s *sockets) Key(_ Gen, e KeyExpr) Key { return Key{socket: e} }

// do returns the result of f for the socket of a key, or none if a pointer on the way to it
// is null.
func (s *sockets) do(g Gen, k Key, t ir.Type, none int64, f func(sk *ir.Value) *ir.Value) *ir.Value {
	v := &ir.Var{Name: "entry", Type: t}
	k.socket.Object(func(sk *ir.Value) { g.B().Write(v, f(sk)) }, func() { g.B().Write(v, g.B().Const(none)) })
	return g.B().Read(v)
}

func (s *sockets) get(g Gen, k Key, flags int64) *ir.Value {
	return s.do(g, k, ir.PtrMapNil, 0, func(sk *ir.Value) *ir.Value {
		b := g.B()
		return b.Call(ir.SkStorageGet, b.MapPtr(s.m), sk, b.Const(0), b.Const(flags))
	})
}

func (s *sockets) Find(g Gen, k Key) *ir.Value    { return s.get(g, k, 0) }
func (s *sockets) Present(g Gen, k Key) *ir.Value { return s.Find(g, k) }
func (s *sockets) Share(g Gen, k Key) *ir.Value   { return s.Make(g, k) }

// Make fails for sockets that cannot have storage, such as those of connections in
// TIME_WAIT, and if the storage of a socket is full.
func (s *sockets) Make(g Gen, k Key) *ir.Value {
	const create = 1 // BPF_SK_STORAGE_GET_F_CREATE
	span := g.B().Pos
	p := s.get(g, k, create)
	g.B().Unless(p, func() {
		g.B().Cur.Unlikely = true
		g.Count(object.MapFull, span, s.name)
	})
	return p
}

// Assign completes the value before it is stored.
func (s *sockets) Assign(g Gen, k Key, fill func(p *ir.Value, size int)) {
	tmp := g.Temp(s.size)
	fill(tmp, s.size)
	g.B().IfNonNil(s.Make(g, k), func(p *ir.Value) { g.B().Copy(p, 0, tmp, s.size) })
}

func (s *sockets) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	g.B().IfNonNil(s.Make(g, k), func(p *ir.Value) { g.B().Store(p, 0, size, x) })
}

func (s *sockets) Remove(g Gen, k Key) *ir.Value {
	return s.do(g, k, ir.Int, enoent, func(sk *ir.Value) *ir.Value {
		return g.B().Call(ir.SkStorageDelete, g.B().MapPtr(s.m), sk)
	})
}

func (s *sockets) OnCPU(g Gen, k Key, _ *ir.Value) *ir.Value { return s.Find(g, k) }

// The names of the programs of the kernel's iterator over the entries of a map, the
// offsets of the members of their context, and the size of a key in bytes.
const (
	visitRead, visitClear = "read", "empty"

	iterMeta, iterSock, iterValue = 0, 16, 24

	socketSize = 8
)

// programs returns the programs of the iterator, which the kernel runs for each entry.
func (s *sockets) programs() []Program {
	visit := func(name string, uses Use, entry func(b *ir.Builder, g Gen, file, sk, value *ir.Value)) Program {
		return Program{Name: name, For: uses, Load: object.Program{
			Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "bpf_sk_storage_map", License: "GPL",
		}, Emit: func(g Gen, ctx *ir.Value) {
			b := g.B()
			pointer := func(p *ir.Value, off int64, t ir.Type) *ir.Value {
				v := b.Load(p, off, 8, false)
				v.Type = t
				return v
			}
			file := pointer(pointer(ctx, iterMeta, ir.PtrBTF), 0, ir.PtrBTF)
			sk := pointer(ctx, iterSock, ir.PtrBTF) // null in the call after the last entry
			value := pointer(ctx, iterValue, ir.PtrMapNil)
			b.If(sk, func() {
				b.IfNonNil(value, func(value *ir.Value) { entry(b, g, file, sk, value) })
			})
		}}
	}
	return []Program{
		visit(visitRead, Whole, func(b *ir.Builder, g Gen, file, sk, value *ir.Value) {
			key := g.Temp(socketSize)
			b.Store(key, 0, socketSize, sk)
			b.Call(ir.SeqWrite, file, key, b.Const(socketSize))
			b.Call(ir.SeqWrite, file, value, b.Const(int64(s.size)))
		}),
		visit(visitClear, Reset, func(b *ir.Builder, _ Gen, _, sk, _ *ir.Value) {
			b.Call(ir.SkStorageDelete, b.MapPtr(s.m), sk)
		}),
		visit(reset, Reset, func(b *ir.Builder, _ Gen, _, _, value *ir.Value) { b.Zero(value, 0, s.size) }),
	}
}

// socketsReader runs the programs of the iterator.
type socketsReader struct {
	k    *Kernel
	m    *object.Map
	e    *ebpf.Map
	size int // of a value in bytes
}

func openSockets(k *Kernel, m *object.Map) (Reader, error) {
	e, err := k.find(m.Kernel)
	return &socketsReader{k, m, e, max(m.Value.Size, 1)}, err
}

// run runs a program for every entry, and returns what it writes.
func (r *socketsReader) run(name string) ([]byte, error) {
	prog, err := r.k.program(name, r.m)
	if err != nil {
		return nil, err
	}
	it, err := link.AttachIter(link.IterOptions{Program: prog, Map: r.e})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	in, err := it.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// Read does not stop early: it reads thousands of entries in a millisecond.
func (r *socketsReader) Read(func(entries int) bool) ([]Entry, error) {
	data, err := r.run(visitRead)
	var entries []Entry
	for ; len(data) >= socketSize+r.size; data = data[socketSize+r.size:] {
		entries = append(entries, Entry{Key: data[:socketSize:socketSize], Value: data[socketSize:][:r.size:r.size]})
	}
	return entries, err
}

func (r *socketsReader) Clear() error {
	_, err := r.run(visitClear)
	return err
}

func (r *socketsReader) Zero() error {
	_, err := r.run(reset)
	return err
}
