package runtime

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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

// TestSorted sorts random entries and compares the result with that of a plain sort.
func TestSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := &Session{defs: builtins.NewRegistry(builtins.All())}
	values := []*types.Type{types.TInt64, types.TUint8, types.NewString(8)}
	for _, name := range []string{"count", "sum", "min", "max", "avg", "stats", "hist"} {
		d := s.defs.ForType(name + "_t")
		for _, signed := range []bool{true, false} {
			values = append(values, d.AggType(32, signed, 0, 0))
		}
	}
	for _, val := range values {
		for _, key := range []*types.Type{types.TInt32, types.NewString(40), types.NewTuple(types.NewString(16), types.TInt64)} {
			t.Run(fmt.Sprintf("%s by %s", val, key), func(t *testing.T) {
				m := &object.Map{Key: key, Value: val}
				var pairs []store.Entry
				for range 200 {
					pairs = append(pairs, store.Entry{Key: randomBytes(r, key), Value: randomBytes(r, val)})
				}
				plain := func(a, b store.Entry) int {
					order := 0
					switch val.Kind {
					case types.Int:
						order = compareValues(val, a.Value, b.Value)
					case types.Agg:
						order = s.defs.ForType(val.Name).Order(val, a.Value, b.Value)
					}
					return cmp.Or(order, compareValues(key, a.Key, b.Key))
				}
				got := s.sorted(m, slices.Clone(pairs), len(pairs))
				for i := 1; i < len(got); i++ {
					if plain(got[i-1], got[i]) > 0 {
						t.Fatalf("% x comes before % x", got[i-1], got[i])
					}
				}
				all := func(es []store.Entry) []byte {
					var lines []string
					for _, e := range es {
						lines = append(lines, fmt.Sprintf("%x %x", e.Key, e.Value))
					}
					slices.Sort(lines)
					return []byte(fmt.Sprint(lines))
				}
				if !bytes.Equal(all(got), all(pairs)) {
					t.Fatal("entries were lost")
				}
			})
		}
	}
}

// TestGreatest compares the n greatest of a list with the end of the sorted list.
func TestGreatest(t *testing.T) {
	shapes := map[string]func(i, n int) int{
		"rising":  func(i, n int) int { return i },
		"falling": func(i, n int) int { return n - i },
		"equal":   func(i, n int) int { return 7 },
		"few":     func(i, n int) int { return i * 7919 % 3 },
		"mixed":   func(i, n int) int { return i * 7919 % (n + 1) },
		"organ":   func(i, n int) int { return min(i, n-i) },
		"saw":     func(i, n int) int { return i % 17 },
	}
	for name, at := range shapes {
		for _, size := range []int{0, 1, 2, 3, 12, 13, 100, 1000, 4097} {
			list := make([]int, size)
			for i := range list {
				list[i] = at(i, size)
			}
			sorted := slices.Sorted(slices.Values(list))
			for _, n := range []int{0, 1, 2, size / 3, size / 2, size - 1, size, size + 1} {
				if n < 0 {
					continue
				}
				got := greatest(slices.Clone(list), n, cmp.Compare[int])
				slices.Sort(got)
				if want := sorted[max(0, size-n):]; !slices.Equal(got, want) {
					t.Errorf("%s: the %d greatest of %d are %v, want %v", name, n, size, got, want)
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
