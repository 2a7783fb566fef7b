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
	s := &Session{defs: builtins.NewRegistry(builtins.All())}
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

func (r manyEntries) Read() ([]store.Entry, error) {
	list := make([]store.Entry, r.n)
	for i := range list {
		b := binary.NativeEndian.AppendUint64(nil, uint64(r.n-i))
		list[i] = store.Entry{Key: b, Value: b}
	}
	return list, nil
}

// TestReportSlow checks when a user who has ended the session is told that reading a map
// takes long.
func TestReportSlow(t *testing.T) {
	for _, c := range []struct {
		ago  time.Duration // since the user ended the session; 0: it has not
		n    int           // entries read
		want int           // reports for two calls
	}{
		{0, 1 << 20, 0},
		{500 * time.Millisecond, 1 << 20, 0},
		{2 * time.Second, 1 << 20, 1},
		{2 * time.Second, unhurried - 1, 0},
	} {
		e := newEnding()
		if c.ago > 0 {
			e.interrupt()
			e.start = e.start.Add(-time.Hour)
			e.cutAt.Store(e.now() - int64(c.ago))
		}
		var text strings.Builder
		e.reportSlow(&text, "@m", c.n)
		e.reportSlow(&text, "@m", c.n)
		if got := strings.Count(text.String(), "@m: reading its entries takes long"); got != c.want {
			t.Errorf("%v after the end, %d entries: %d reports: %s", c.ago, c.n, got, &text)
		}
	}
}

// TestLeftOut checks that printing in a hurry prints the greatest entries and counts the
// others.
func TestLeftOut(t *testing.T) {
	const n = unhurried + 5000
	m := &object.Map{Name: "@", Key: types.TUint64, Value: types.TUint64}
	s := &Session{defs: builtins.NewRegistry(builtins.All()), ending: newEnding(), obj: &object.Object{}}
	s.env = newEnv(s)
	s.readers = map[*object.Map]store.Reader{m: manyEntries{n: n}}
	for _, hurry := range []bool{false, true} {
		out, err := s.mapValues(m, 0, false, func() bool { return hurry })
		if err != nil {
			t.Fatal(err)
		}
		want := n
		if hurry {
			want = unhurried
		}
		if last := out.Entries[len(out.Entries)-1].Value; len(out.Entries) != want || fmt.Sprint(last) != fmt.Sprint(n) {
			t.Errorf("%d entries up to %v, want %d up to %d", len(out.Entries), last, want, n)
		}
	}
	var text strings.Builder
	s.reportLeftOut(&text)
	if !strings.Contains(text.String(), "@: 5000 entries") {
		t.Errorf("reported %q", &text)
	}
}
