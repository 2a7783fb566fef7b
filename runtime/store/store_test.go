package store

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/bpf"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/native"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/testkit"
)

var here = Target{CPUs: ebpf.MustPossibleCPU(), AtomicFetch: true, LookupPerCPU: true, LongKeys: true}

var count = &types.Type{Kind: types.Agg, Name: "count_t", Size: 8}

// sock is the type of a pointer that the kernel's verifier knows as that of a socket.
var sock = types.NewPointer(&types.Type{Kind: types.Struct, Name: "struct sock", Size: 8}, types.BTF)

// ways lists, for each way of keeping a map, maps that are kept that way.
var ways = []struct {
	kind string
	spec Spec
}{
	{"slot", Spec{Value: types.TInt64, Uses: Add | Read | Assign | Delete}},
	{"slot", Spec{Value: types.NewString(20), Uses: Assign}},
	{"per-CPU slot", Spec{Value: count, Uses: Add | Delete | Whole | Reset}},
	{"sockets", Spec{Key: sock, Value: types.TInt64, Sockets: true, Uses: Read | Assign | Delete | OtherThread}},
	{"sockets", Spec{Key: sock, Value: types.NewString(20), Sockets: true, Uses: Assign | Delete | Whole | Reset | OtherThread}},
	{"hash", Spec{Key: sock, Value: types.TInt64, Sockets: true, Uses: Add | Read | Assign | Delete | OtherThread}},
	{"hash", Spec{Key: sock, Value: types.TInt64, Sockets: true, Uses: Assign | Whole | OtherThread}},
	{"hash", Spec{Key: sock, Value: types.TInt64, Uses: Assign | OtherThread}},
	{"hash", Spec{Key: sock, Value: types.TInt64, Sockets: true, Uses: Assign | Read | Iterate | OtherThread}},
	{"hash", Spec{Key: types.TInt64, Value: types.TInt64, Uses: Add | Read | Assign | Delete | OtherThread}},
	{"hash", Spec{Key: types.NewInt(2, false), Value: types.NewInt(2, false), Uses: Read | Assign | OtherThread}},
	{"hash", Spec{Key: types.NewString(40), Value: types.TInt64, Uses: Read | Assign | OtherThread}},
	{"hash", Spec{Key: types.TInt64, Value: count, Uses: Add | Delete | OtherThread}},
	{"hash", Spec{Key: types.TInt64, Value: count, Uses: Add | Delete | OtherThread, shared: true}},
	{"hash", Spec{Key: types.NewInt(4, false), Value: types.NewInt(4, false), Uses: Add | Assign | Delete | OtherThread, shared: true}},
	{"hash", Spec{Key: types.NewString(40), Value: types.NewString(24), Uses: Assign | OtherThread, shared: true}},
	{"hash", Spec{Key: types.TInt64, Value: types.TInt64, Declared: true, PerCPU: true, Uses: Add | OtherThread | Read}},
	{"split", Spec{Key: types.NewString(128), Value: types.TInt64, Uses: Add | Assign | Delete | OtherThread}},
	{"split", Spec{Key: types.NewString(1024), Value: count, Uses: Add | OtherThread}},
	{"front", Spec{Key: types.TInt64, Value: count, Uses: Add | OtherThread}},
	{"front", Spec{Key: types.NewInt(1, false), Value: types.TInt64, Uses: Add | OtherThread}},
	{"front", Spec{Key: types.NewString(16), Value: types.TInt64, Uses: Add | OtherThread}},
	{"front", Spec{Key: types.TInt64, Value: types.TInt64, Uses: Add | OtherThread, shared: true}},
	{"threads", Spec{Key: types.NewInt(4, false), Value: types.TInt64, Uses: Add | Read | Assign | Delete}},
	{"threads", Spec{Key: types.NewInt(4, false), Value: types.NewInt(2, false), Uses: Assign}},
	{"parted", Spec{Key: types.TInt64, Value: &types.Type{Kind: types.Agg, Name: "large", Size: 40 << 10}, ValueParts: 1024, Uses: Add | OtherThread}},
	{"parted", Spec{Key: types.NewString(20), Value: &types.Type{Kind: types.Agg, Name: "large", Size: 60 << 10}, ValueParts: 520, Uses: Add | Reset | OtherThread}},
	{"parted", Spec{Key: types.NewString(32), Value: &types.Type{Kind: types.Agg, Name: "large", Size: 40 << 10}, ValueParts: 1024, Uses: Add | OtherThread}},
	{"parted", Spec{Value: &types.Type{Kind: types.Agg, Name: "large", Size: 40 << 10}, ValueParts: 1024, Uses: Add | Reset}},
}

func (s Spec) named(name string) *Spec {
	s.Name = name
	if s.Max == 0 {
		s.Max = 4096
	}
	return &s
}

func TestChoice(t *testing.T) {
	for i, w := range ways {
		l, err := Plan(here, []*Spec{w.spec.named("@m")})
		if err != nil {
			t.Errorf("%d: %v", i, err)
		} else if got := l.Maps[0].Store; got != w.kind {
			t.Errorf("map %d is kept as %s, want %s", i, got, w.kind)
		}
	}
	// Uses that do not allow a table.
	for _, how := range []Use{Read, Assign, Change, Delete, Count, Iterate, Address} {
		s := Spec{Key: types.TInt64, Value: count, Uses: Add | how}.named("@m")
		if l, err := Plan(here, []*Spec{s}); err != nil || l.Maps[0].Store != "hash" {
			t.Errorf("a map with the use %s has a front table (%v)", how, err)
		}
	}
	for _, how := range []Use{Count, Iterate, Address, OtherThread} {
		s := Spec{Key: types.NewInt(4, false), Value: types.TInt64, Uses: Assign | how}.named("@m")
		if l, err := Plan(here, []*Spec{s}); err != nil || l.Maps[0].Store != "hash" {
			t.Errorf("a map with the use %s has a thread table (%v)", how, err)
		}
	}
}

// emitter is a Gen that depends only on the IR.
type emitter struct {
	b      *ir.Builder
	rodata *ir.Map
	full   *ir.Map
}

func (e *emitter) B() *ir.Builder          { return e.b }
func (e *emitter) Temp(size int) *ir.Value { return e.b.Slot(max(size, 1)) }
func (e *emitter) Zeros(n int) *ir.Value   { return e.Rodata(make([]byte, n)) }

func (e *emitter) Rodata(data []byte) *ir.Value {
	off := len(e.rodata.Contents)
	e.rodata.Contents = append(e.rodata.Contents, data...)
	e.rodata.Contents = append(e.rodata.Contents, make([]byte, word(len(data))-len(data))...)
	e.rodata.ValueSize = len(e.rodata.Contents)
	return e.b.MapValue(e.rodata, int64(off))
}

func (e *emitter) Surely(p *ir.Value) *ir.Value {
	e.b.Unless(p, func() { e.b.Ret(e.b.Const(0)) })
	return e.b.NonNil(p)
}

func (e *emitter) EachCPU(body func(cpu *ir.Value)) {
	for cpu := range here.CPUs {
		body(e.b.Const(int64(cpu)))
	}
}

func (e *emitter) Count(object.SiteKind, source.Span, string) {
	e.b.AtomicAdd(e.b.MapValue(e.full, 0), 0, 8, e.b.Const(1))
}

func (e *emitter) ReadStr(*ir.Value, int64, *ir.Value, int, *ir.Value, types.Space) *ir.Value {
	panic("no string is read from elsewhere")
}

// givenKey is a key that the program reads from an array.
type givenKey struct {
	e  *emitter
	at *ir.Value
	t  *types.Type
}

func (k *givenKey) Literal() (string, bool)                   { return "", false }
func (k *givenKey) InMemory() *ir.Value                       { return nil }
func (k *givenKey) Source(Gen) (*ir.Value, types.Space, bool) { return nil, 0, false }
func (k *givenKey) Object(func(*ir.Value), func())            { panic("no key is a socket") }
func (k *givenKey) StringSize() int                           { return 0 }
func (k *givenKey) Write(t *types.Type, p *ir.Value, size int) {
	k.e.b.Zero(p, 0, size)
	k.e.b.Copy(p, 0, k.at, t.Size)
}

// Operations of the programs, and of user space.
const (
	opAdd = iota
	opAssign
	opRemove
	opClear
	opZero
)

// loaded is a map in the kernel with a program for each operation.
type loaded struct {
	r     Reader
	in    *ebpf.Map // the key, padded, and the operand
	progs map[int]*ebpf.Program
}

// The input of a program: key and operand.
const (
	inKey  = 8
	inSize = inKey + 1024
)

// load compiles the programs for all maps of a layout and loads maps and programs into
// the kernel.
func load(t *testing.T, specs []*Spec) []*loaded {
	t.Helper()
	testkit.NeedRoot(t)
	l, err := Plan(here, specs)
	if err != nil {
		t.Fatal(err)
	}
	e := &emitter{rodata: &ir.Map{Name: "rodata", Type: ir.Array, KeySize: 4, MaxEntries: 1, ValueSize: 8}, full: &ir.Map{Name: "full", Type: ir.Array, KeySize: 4, MaxEntries: 1, ValueSize: 8}}
	in := &ir.Map{Name: "in", Type: ir.Array, KeySize: 4, MaxEntries: 1, ValueSize: inSize}
	m := &ir.Module{Maps: append(append([]*ir.Map{}, l.Kernel...), e.rodata, e.full, in)}
	for i, s := range specs {
		for op, use := range map[int]Use{opAdd: Add, opAssign: Assign, opRemove: Delete} {
			if s.Uses&use == 0 {
				continue
			}
			e.b = ir.NewFunc("main", ir.PtrCtx)
			e.program(l.Stores[i], s, op, in)
			e.b.Ret(e.b.Const(0))
			m.Progs = append(m.Progs, &ir.Prog{Name: fmt.Sprintf("p%d_%d", i, op), Kind: "rawtracepoint", Main: e.b.Fn})
		}
	}
	for i := range specs {
		for _, p := range Programs(l.Stores[i], &l.Maps[i], Reset) {
			e.b = ir.NewFunc("main", ir.PtrCtx)
			p.Emit(e, e.b.Param(0))
			e.b.Ret(e.b.Const(0))
			m.Progs = append(m.Progs, &ir.Prog{Name: p.Name, Kind: "map", Main: e.b.Fn})
		}
	}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	out, err := bpf.Emit(m, bpf.Target{CPUs: here.CPUs, VarStack: true})
	if err != nil {
		t.Fatal(err)
	}
	spec := (&object.Object{Kernel: out.Maps, Programs: out.Progs}).Spec()
	for _, p := range spec.Programs {
		p.Type, p.License = ebpf.RawTracepoint, "GPL"
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatalf("%+v\n%s", err, m)
	}
	t.Cleanup(coll.Close)
	k := &Kernel{Maps: coll.Maps, Programs: coll.Programs, CPUs: here.CPUs, Merge: func(*types.Type) func(*types.Type, []byte, []byte) {
		return func(_ *types.Type, dst, src []byte) {
			for i := 0; i+8 <= len(dst); i += 8 {
				native.PutUint(dst[i:i+8], native.Uint(dst[i:i+8])+native.Uint(src[i:i+8]))
			}
		}
	}}
	maps := make([]*loaded, len(specs))
	for i := range specs {
		r, err := k.Open(&l.Maps[i])
		if err != nil {
			t.Fatal(err)
		}
		maps[i] = &loaded{r: r, in: coll.Maps["in"], progs: map[int]*ebpf.Program{}}
		for op := range opClear {
			maps[i].progs[op] = coll.Programs[fmt.Sprintf("p%d_%d", i, op)]
		}
	}
	return maps
}

// program emits an operation on the key and the operand of the input.
func (e *emitter) program(st Store, s *Spec, op int, in *ir.Map) {
	b := e.b
	var k Key
	if s.Key != nil {
		k = st.Key(e, &givenKey{e: e, at: b.MapValue(in, inKey), t: s.Key})
	} else {
		k = st.Key(e, nil)
	}
	x := b.Load(b.MapValue(in, 0), 0, 8, false)
	size := s.Value.Size
	add := func(p *ir.Value) {
		e.b.If(p, func() {
			q := p
			if p.Type == ir.PtrMapNil {
				q = b.NonNil(p)
			}
			if size == 4 || size == 8 || s.ValueParts > 0 {
				b.AtomicAdd(q, 0, min(size, 8), x)
			} else {
				b.Store(q, 0, size, b.Op(ir.OpAdd, b.Load(q, 0, size, false), x))
			}
		})
	}
	switch op {
	case opAdd:
		if part := st.Traits().MakePart; part != nil {
			add(part(e, k, b.Op(ir.OpAnd, b.Opaque(x), b.Const(7))))
			return
		}
		add(st.Share(e, k))
	case opAssign:
		if size <= 8 && s.Value.IsScalar() {
			st.AssignWord(e, k, x, size)
			return
		}
		st.Assign(e, k, func(p *ir.Value, n int) {
			b.Zero(p, 0, n)
			b.Store(p, 0, 8, x)
		})
	case opRemove:
		st.Remove(e, k)
	}
}

// run performs an operation on the map and on the model.
func (l *loaded) run(t *testing.T, s *Spec, op int, key []byte, x uint64, model map[string]uint64) {
	t.Helper()
	switch op {
	case opClear:
		clear(model)
		if err := l.r.Clear(); err != nil {
			t.Fatal(err)
		}
		return
	case opZero:
		for k := range model {
			model[k] = 0
		}
		if err := l.r.Zero(); err != nil {
			t.Fatal(err)
		}
		return
	case opAdd:
		model[string(key)] += x
	case opAssign:
		model[string(key)] = x
	case opRemove:
		delete(model, string(key))
	}
	if size := s.Value.Size; op != opRemove && size < 8 {
		model[string(key)] &= 1<<(8*size) - 1
	}
	input := make([]byte, inSize)
	binary.NativeEndian.PutUint64(input, x)
	copy(input[inKey:], key)
	if err := l.in.Update(uint32(0), input, ebpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	if _, err := l.progs[op].Run(&ebpf.RunOptions{}); err != nil {
		t.Fatal(err)
	}
}

// check compares the entries that the reader returns with the model.
func (l *loaded) check(t *testing.T, s *Spec, when string, model map[string]uint64) {
	t.Helper()
	entries, err := l.r.Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, e := range entries {
		key := ""
		if s.Key != nil {
			if n := len(e.Key); n != KeySize(s.Key) && n != word(KeySize(s.Key)) && n != shortKey {
				t.Fatalf("%s: a key has %d bytes", when, n)
			}
			e.Key = e.Key[:min(len(e.Key), s.Key.Size)]
			key = string(append(e.Key, make([]byte, s.Key.Size-len(e.Key))...))
		}
		if _, twice := got[key]; twice {
			t.Fatalf("%s: the key %q is there twice", when, key)
		}
		size := s.Value.Size
		if s.ValueParts > 0 {
			size = s.ValueParts
		}
		got[key] = 0
		for part := range slices.Chunk(e.Value, size) {
			got[key] += native.Uint(part[:min(len(part), 8)])
		}
	}
	if len(got) != len(model) {
		t.Fatalf("%s: %d entries, want %d", when, len(got), len(model))
	}
	for k, want := range model {
		if got[k] != want {
			t.Fatalf("%s: [%q] is %d, want %d", when, k, got[k], want)
		}
	}
}

// keysOf returns keys for a map. For strings, these include short and long ones.
func keysOf(s *Spec) [][]byte {
	if s.Key == nil {
		return [][]byte{nil}
	}
	var keys [][]byte
	for i := range 300 {
		k := make([]byte, s.Key.Size)
		if s.Key.Kind == types.String {
			text := fmt.Sprintf("%d", i)
			want := []int{0, s.Key.Size, shortKey - 3 + i/6%6}[i%3] // lengths around the limit of short strings
			text += strings.Repeat("x", max(want-len(text), 0))
			copy(k[:s.Key.Size-1], text)
		} else {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], uint64(i%200+1)*0x10001)
			copy(k, b[:])
		}
		keys = append(keys, k)
	}
	return keys
}

// TestHalves runs random operations on each kind of store, in the kernel and in user
// space, and compares the entries that it reads with a model.
func TestHalves(t *testing.T) {
	for i, w := range ways {
		if w.spec.Sockets {
			continue // tests/live has programs that are called with sockets
		}
		t.Run(fmt.Sprintf("%d %s", i, w.kind), func(t *testing.T) {
			// A second map of the same shape must stay unchanged.
			specs := []*Spec{w.spec.named("@m"), w.spec.named("@other")}
			maps := load(t, specs)
			exercise(t, specs, maps, 1500)
		})
	}
}

// TestSharedHalves is TestHalves for maps that share hash maps because there are too
// many of them.
func TestSharedHalves(t *testing.T) {
	var specs []*Spec
	for i := range 120 {
		w := ways[i%len(ways)]
		s := w.spec.named(fmt.Sprintf("@m%d", i))
		s.Programs = []int{0}
		if s.ValueParts > 0 || s.Declared || s.Sockets {
			continue
		}
		specs = append(specs, s)
	}
	l, err := Plan(here, specs)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Kernel) > maxMaps-otherMaps {
		t.Errorf("%d kernel maps", len(l.Kernel))
	}
	exercise(t, specs, load(t, specs), 6000)
}

func exercise(t *testing.T, specs []*Spec, maps []*loaded, steps int) {
	r := rand.New(rand.NewSource(1))
	models := make([]map[string]uint64, len(specs))
	keys := make([][][]byte, len(specs))
	for i, s := range specs {
		models[i], keys[i] = map[string]uint64{}, keysOf(s)
		maps[i].check(t, s, "at first", models[i])
	}
	for n := range steps {
		i := r.Intn(len(specs))
		s := specs[i]
		op := r.Intn(opClear)
		if n%250 == 249 {
			op = opClear + r.Intn(2)
		}
		if op < opClear && maps[i].progs[op] == nil {
			continue
		}
		if s.ValueParts > 0 && op == opZero {
			continue // the parts that were never used are not there
		}
		maps[i].run(t, s, op, keys[i][r.Intn(len(keys[i]))], uint64(r.Intn(1000))+1, models[i])
		if n%100 == 0 || op >= opClear {
			maps[i].check(t, s, fmt.Sprintf("step %d", n), models[i])
		}
	}
	for i, s := range specs {
		maps[i].check(t, s, "in the end", models[i])
	}
}
