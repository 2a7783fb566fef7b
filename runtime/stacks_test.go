package runtime

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/tests/testkit"
)

// TestFreeStacks checks that stacks are kept if they are in use, were met lately,
// or precede another stack, and that others are marked and freed.
func TestFreeStacks(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		name           string
		met            map[uint32]uint64 // when, by number
		used, usedNext []uint32          // at the first and at the second sweep
		marked, left   []uint32
	}{
		{"none", nil, nil, nil, nil, nil},
		{"unused", map[uint32]uint64{1: 5, 7: 5}, nil, nil, []uint32{1, 7}, nil},
		{"used", map[uint32]uint64{1: 5, 7: 5}, []uint32{1}, []uint32{1}, []uint32{7}, []uint32{1}},
		{"met lately", map[uint32]uint64{1: 100, 7: 5}, nil, nil, []uint32{7}, []uint32{1}},
		{"found before it was given up", map[uint32]uint64{1: 5, 7: 5}, nil, []uint32{7}, []uint32{1, 7}, []uint32{7}},
		{"before another one", map[uint32]uint64{1: 5, 2: 100}, nil, nil, []uint32{1}, []uint32{1, 2}},
	} {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: object.StackFrames + 16, MaxEntries: 16})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		set := func(numbers []uint32) map[uint32]bool {
			s := map[uint32]bool{}
			for _, n := range numbers {
				s[n] = true
			}
			return s
		}
		ne := binary.NativeEndian
		for number, when := range c.met {
			data := make([]byte, object.StackFrames+16)
			ne.PutUint64(data[object.StackHash:], uint64(number)+1000)
			ne.PutUint64(data[object.StackUsed:], when)
			ne.PutUint64(data[object.StackFrames:], 0xabc)
			if err := store.UpdateElem(m, ne.AppendUint32(nil, number), data, 0); err != nil {
				t.Fatal(err)
			}
		}
		d := &depthKeeper{m, map[uint32]bool{}}
		d.mark(set(c.used), 50)
		if got := slices.Sorted(maps.Keys(d.marked)); !slices.Equal(got, c.marked) {
			t.Errorf("%s: given up %v, want %v", c.name, got, c.marked)
		}
		for number := range c.met { // programs find it by its hash, readers by its number
			data := make([]byte, object.StackFrames+16)
			if err := store.LookupElem(m, ne.AppendUint32(nil, number), data); err != nil {
				t.Fatal(err)
			}
			if (ne.Uint64(data) == object.GivenUp) != d.marked[number] || ne.Uint64(data[object.StackFrames:]) != 0xabc {
				t.Errorf("%s: entry %d is %x", c.name, number, data)
			}
		}
		d.free(set(c.usedNext))
		var left []uint32
		for _, key := range d.keys() {
			left = append(left, ne.Uint32(key))
		}
		slices.Sort(left)
		if !slices.Equal(left, c.left) {
			t.Errorf("%s: left are %v, want %v", c.name, left, c.left)
		}
	}
}

func TestHalfFull(t *testing.T) {
	testkit.NeedRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	d := &depthKeeper{m, nil}
	for n := range uint32(8) {
		if got := d.halfFull(); got != (n >= 4) {
			t.Errorf("%d of 8: %v", n, got)
		}
		if err := m.Put(n, uint64(0)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpaqueWalk checks that eachOpaque finds values of builtins' types at all
// depths.
func TestOpaqueWalk(t *testing.T) {
	stack := &types.Type{Kind: types.Opaque, Name: "ustack_t", Size: 8}
	pair := types.NewTuple(types.TInt32, stack)
	for _, c := range []struct {
		t    *types.Type
		want string
	}{
		{types.TInt64, ""},
		{stack, " 0"},
		{pair, " 8"},
		{types.NewTuple(types.TInt8, pair, stack), " 16 24"},
		{types.NewArray(stack, 3), " 0 8 16"},
		{types.NewArray(pair, 2), " 8 24"},
	} {
		got := ""
		eachOpaque(c.t, 0, func(_ *types.Type, off int) { got += fmt.Sprint(" ", off) })
		if got != c.want {
			t.Errorf("%s: at%s, want%s", c.t, got, c.want)
		}
	}
}
