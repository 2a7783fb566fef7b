package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// mapsOf lays out n maps that one program uses, of several shapes.
func mapsOf(n int, each func(i int, s *Spec)) (*Layout, []*Spec, error) {
	specs := make([]*Spec, n)
	for i := range specs {
		specs[i] = Spec{Key: types.TInt64, Value: count, Uses: Add | OtherThread, Programs: []int{0}}.named(fmt.Sprintf("@m%d", i))
		each(i, specs[i])
	}
	l, err := Plan(here, specs)
	return l, specs, err
}

// TestManyMaps checks that a program never uses more maps than the kernel allows, however
// many maps the script has, and that maps that share a kernel map do not overlap.
func TestManyMaps(t *testing.T) {
	shapes := map[string]func(i int, s *Spec){
		"one shape":   func(int, *Spec) {},
		"no keys":     func(_ int, s *Spec) { s.Key = nil },
		"read":        func(_ int, s *Spec) { s.Uses |= Read },
		"thread keys": func(_ int, s *Spec) { s.Key, s.Value, s.Uses = types.NewInt(4, false), types.TInt64, Assign|Delete },
		"strings":     func(i int, s *Spec) { s.Key = types.NewString(1 + i%200) },
		"long values": func(i int, s *Spec) { s.Value = &types.Type{Kind: types.Agg, Name: "x", Size: 8 + 8*(i%300)} },
		"mixed": func(i int, s *Spec) {
			s.Key, s.Value = types.NewString(1+i%400), types.NewInt([]int{1, 2, 4, 8}[i%4], true)
			if i%3 == 0 {
				s.Value = count
			}
		},
	}
	for name, shape := range shapes {
		for _, n := range []int{1, 10, 44, 45, 60, 100, 500, 2000} {
			l, specs, err := mapsOf(n, shape)
			if err != nil {
				t.Errorf("%d maps, %s: %v", n, name, err)
				continue
			}
			if len(l.Kernel) > maxMaps-otherMaps {
				t.Errorf("%d maps, %s: %d kernel maps", n, name, len(l.Kernel))
			}
			checkApart(t, fmt.Sprintf("%d maps, %s", n, name), l, specs)
		}
	}
}

// checkApart checks that no two maps have bytes, tables or entries in common.
func checkApart(t *testing.T, when string, l *Layout, specs []*Spec) {
	t.Helper()
	kernel := map[string]*ir.Map{}
	for _, m := range l.Kernel {
		if kernel[m.Name] != nil {
			t.Fatalf("%s: two kernel maps are called %s", when, m.Name)
		}
		kernel[m.Name] = m
	}
	owner, tables := map[string]string{}, 0
	for i := range l.Maps {
		m := &l.Maps[i]
		k := kernel[m.Kernel]
		if k == nil {
			t.Fatalf("%s: %s is in %s, which is not there", when, m.Name, m.Kernel)
		}
		place := fmt.Sprintf("%s number %d", m.Kernel, m.Number)
		if m.Key == nil {
			place = fmt.Sprintf("%s at %d", m.Kernel, m.Off)
			if m.Off < 0 || m.Set < m.Off+m.Value.Size || m.Set >= k.ValueSize {
				t.Fatalf("%s: %s does not fit into %s", when, m.Kept(), m.Kernel)
			}
		} else if k.KeySize < KeySize(m.Key) || k.ValueSize < m.Value.Size || k.MaxEntries < m.Max {
			t.Fatalf("%s: %s does not fit into %s", when, m.Kept(), m.Kernel)
		}
		if owner[place] != "" {
			t.Fatalf("%s: %s and %s are both in %s", when, owner[place], m.Name, place)
		}
		owner[place] = m.Name
		if m.Table != nil {
			if m.Table.Off < tables || m.Table.Off%64 != 0 {
				t.Fatalf("%s: the table of %s starts in another one", when, m.Name)
			}
			size := threadSlots * threadSlot
			if m.Table.CPUs > 0 {
				size = m.Table.CPUs * region(m.Table.Slots, KeySize(m.Key), specs[i].valueSize())
			}
			if tables = m.Table.Off + tableHeader + size; tables > kernel["tables"].ValueSize {
				t.Fatalf("%s: the table of %s is too large", when, m.Name)
			}
		}
	}
}

// TestOldKeys checks that the number before a key does not make it longer than the
// kernel allows.
func TestOldKeys(t *testing.T) {
	old := here
	old.LongKeys = false
	var specs []*Spec
	for i := range 300 {
		s := Spec{Key: types.NewString(300 + i%213), Value: types.TInt64, Uses: Assign | OtherThread, Programs: []int{i % 5}}
		specs = append(specs, s.named(fmt.Sprintf("@m%d", i)))
	}
	l, err := Plan(old, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Kernel {
		if m.KeySize > maxOldKey {
			t.Errorf("%s has keys of %d bytes", m.Name, m.KeySize)
		}
	}
	checkApart(t, "old keys", l, specs)
}

// TestTooManyMaps checks that maps that cannot share a hash map are refused if, and
// only if, there are too many.
func TestTooManyMaps(t *testing.T) {
	declared := func(i int, s *Spec) { s.Declared, s.LRU, s.Value = true, true, types.TInt64 }
	most := maxMaps - otherMaps
	if _, _, err := mapsOf(most, declared); err != nil {
		t.Errorf("%d maps: %v", most, err)
	}
	_, _, err := mapsOf(most+1, declared)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("@m%d is one map too many", most)) {
		t.Errorf("%d maps: %v", most+1, err)
	}
	// The same number of maps in several programs is allowed.
	if _, _, err := mapsOf(10*most, func(i int, s *Spec) { declared(i, s); s.Programs = []int{i / 20} }); err != nil {
		t.Error(err)
	}
}
