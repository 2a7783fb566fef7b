package runtime

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// sortTypes returns types of keys and values, at least one of every kind that can be
// sorted.
func sortTypes() []*types.Type {
	list := []*types.Type{types.TBool, types.NewString(4), types.NewString(16), types.NewString(40)}
	for _, size := range []int{1, 2, 4, 8} {
		list = append(list, types.NewInt(size, true), types.NewInt(size, false))
	}
	scalars := slices.Clone(list)
	for _, a := range scalars {
		for _, b := range scalars {
			list = append(list, types.NewTuple(a, b), types.NewTuple(a, types.NewTuple(b, types.TInt8), types.NewArray(types.TInt16, 2)))
		}
	}
	return list
}

// randomBytes returns a value of type t made of few different bytes, so that parts of
// values are often equal.
func randomBytes(r *rand.Rand, t *types.Type) []byte {
	b := make([]byte, t.Size)
	for i := range b {
		b[i] = []byte{0, 0, 1, 0x7f, 0x80, 0xff}[r.IntN(6)]
	}
	return b
}

// TestRanks compares the ranks of random values with the results of compareValues.
func TestRanks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range sortTypes() {
		for range 300 {
			a, b := randomBytes(r, typ), randomBytes(r, typ)
			x, y := rankOf(typ, a), rankOf(typ, b)
			want := compareValues(typ, a, b)
			if got := slices.Compare(x[:], y[:]); got != want && (got != 0 || typ.Size <= 1) {
				t.Fatalf("%s: % x and % x: ranks in order %d, values %d", typ, a, b, got, want)
			}
		}
	}
}

// TestSorted sorts random entries and compares the last ones with those of a plain sort.
// Few different values and keys share their first words. Long lists are sorted in
// another way than short ones.
func TestSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := &Instance{defs: builtins.NewRegistry(builtins.All())}
	values := []*types.Type{types.TInt64, types.TUint8, types.NewString(8)}
	for _, name := range []string{"count", "sum", "min", "max", "avg", "stats", "hist", "lhist"} {
		d := s.defs.ForType(name + "_t")
		for _, signed := range []bool{true, false} {
			values = append(values, d.AggType(32, signed, 0, 0))
		}
	}
	rank := func(val *types.Type, data []byte) []uint64 {
		r := s.defs.ForType(val.Name).Rank(val, data)
		return r[:]
	}
	for _, val := range values {
		for _, key := range []*types.Type{types.TInt32, types.NewString(40), types.NewTuple(types.NewString(16), types.TInt64), nil} {
			for _, size := range []int{0, 1, 2, 200, 1500} {
				var pairs []store.Entry
				for range size {
					e := store.Entry{Value: randomBytes(r, val)}
					if r.IntN(2) == 0 {
						e.Value = make([]byte, val.Size)
					}
					if key != nil {
						e.Key = randomBytes(r, key)
					}
					pairs = append(pairs, e)
				}
				plain := func(x, y int32) int {
					a, b := pairs[x], pairs[y]
					order := 0
					switch val.Kind {
					case types.Int:
						order = compareValues(val, a.Value, b.Value)
					case types.Agg:
						order = slices.Compare(rank(val, a.Value), rank(val, b.Value))
					}
					if key != nil {
						order = cmp.Or(order, compareValues(key, a.Key, b.Key))
					}
					return order
				}
				want := make([]int32, size)
				for i := range want {
					want[i] = int32(i)
				}
				slices.SortFunc(want, plain)
				for _, n := range []int{0, 1, size / 3, size, size + 1} {
					got := s.sorted(&object.Map{Key: key, Value: val}, pairs, n)
					tail := want[max(0, size-n):]
					equal := slices.EqualFunc(got, tail, func(x, y int32) bool { return plain(x, y) == 0 })
					distinct := slices.Sorted(slices.Values(got))
					if !equal || len(slices.Compact(distinct)) != len(tail) {
						t.Fatalf("%s by %v: the last %d of %d entries are not those of a plain sort", val, key, n, size)
					}
				}
			}
		}
	}
}

// manyEntries is a reader of a map with n entries.
type manyEntries struct {
	store.Reader
	n int
}

func (r manyEntries) Read(stop func(int) bool) ([]store.Entry, error) {
	var list []store.Entry
	for i := range r.n {
		if i%4096 == 0 && stop(i) {
			return list, store.ErrStopped
		}
		b := binary.NativeEndian.AppendUint64(nil, uint64(i+1))
		list = append(list, store.Entry{Key: b, Value: b})
	}
	return list, nil
}

// TestLeftOut checks that reading and printing in a hurry print the greatest of the
// entries that were read, and count the others.
func TestLeftOut(t *testing.T) {
	const n = unhurriedEntries + 5000
	m := &object.Map{Name: "@", Key: types.TUint64, Value: types.TUint64, Max: 1 << 20}
	for _, c := range []struct {
		after         time.Duration // the patience above which the user has waited too long
		entries, last int
		report        string
	}{
		{0, n, n, ""},
		{patience, unhurriedEntries, n, "@: 5000 entries, those with the least"},
		{readPatience, unhurriedEntries, unhurriedEntries, "@: only 262144 entries were read, of 1048576 at most"},
	} {
		s := &Instance{defs: builtins.NewRegistry(builtins.All()), ending: newEnding(), obj: &object.Object{}, kernel: &store.Kernel{CPUs: 2}}
		s.env = newEnv(s)
		s.readers = map[*object.Map]store.Reader{m: manyEntries{n: n}}
		out, err := s.mapValues(m, 0, false, func(d time.Duration) bool { return c.after != 0 && d >= c.after })
		if err != nil {
			t.Fatal(err)
		}
		if last := out.Entries[len(out.Entries)-1].Value; len(out.Entries) != c.entries || fmt.Sprint(last) != fmt.Sprint(c.last) {
			t.Errorf("%d entries up to %v, want %d up to %d", len(out.Entries), last, c.entries, c.last)
		}
		var text strings.Builder
		s.reportLeftOut(&text)
		if !strings.Contains(text.String(), c.report) || (c.report == "") != (text.Len() == 0) {
			t.Errorf("reported %q, want %q", &text, c.report)
		}
	}
}

// TestUnhurried checks that few large values are enough to make the user wait.
func TestUnhurried(t *testing.T) {
	for _, c := range [][2]int{{0, 1 << 18}, {8, 1 << 18}, {256, 1 << 18}, {1024, 1 << 16}, {1 << 20, 64}, {1 << 30, 1}} {
		if got := unhurried(c[0]); got != c[1] {
			t.Errorf("values of %d bytes: %d entries, want %d", c[0], got, c[1])
		}
	}
}
