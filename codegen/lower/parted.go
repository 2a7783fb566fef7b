package lower

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// parted keeps aggregations too large for a value of a per-CPU map as a hash
// map of their parts. Its keys are those of the script's map, if it has any,
// padded to whole words, and the number of the part behind them. What needs all
// parts of a value at once a program cannot do.
type parted struct {
	*hash
	keySize int // of the script's key
}

// newParted makes the map m of values with parts of so many bytes. A map
// without keys has room for all parts there can be.
func newParted(u *unit, m *builtins.MapInfo, w *object.Map, part int) store {
	size := 0
	if w.Key != nil {
		size = roundUp(keySize(w.Key), 8)
		if v := u.k.Release(); size+8 > maxOldKey && v.Less(probes.Version{Major: 5, Minor: 11}) {
			u.diags.Errorf(m.Span, "A key of %d bytes needs Linux 5.11, this is %d.%d, where %d is the most", size+8, v.Major, v.Minor, maxOldKey)
		}
	} else {
		w.Max = (m.Value.Size + part - 1) / part
	}
	w.Store, w.Part, w.Kernel = object.PerCPUHashMap, part, "AT_"+strings.TrimPrefix(m.Name, "@")
	km := u.newMap(ir.Map{Name: w.Kernel, Type: ir.PerCPUHash, KeySize: size + 8, ValueSize: part, MaxEntries: w.Max})
	return &parted{hash: &hash{m: km, name: m.Name, span: m.Span}, keySize: size}
}

// update folds an aggregation's arguments into the part they belong to.
func (s *parted) update(f *fn, c *builtins.Call, t *types.Type, key *ir.Value) {
	k := f.temp(s.keySize + 8)
	if key != nil {
		n := keySize(t)
		f.b.Copy(k, 0, key, n)
		f.b.Zero(k, int64(n), s.keySize-n)
	}
	c.Def.UpdatePart(f, c, func(n *ir.Value, use func(p *ir.Value)) {
		f.b.Store(k, int64(s.keySize), 8, n)
		f.ifMade(s.hash.make(f, k), use)
	})
}

func (s *parted) refuse(f *fn, what string) *ir.Value {
	f.diags.ErrorHint(f.b.Pos, "clear() and print() work on the whole map", "%s holds values in parts, which a program cannot %s", s.name, what)
	return f.b.Const(0)
}

func (s *parted) find(f *fn, _ *ir.Value) *ir.Value { return s.refuse(f, "look up") }

func (s *parted) present(f *fn, _ *ir.Value) *ir.Value { return s.refuse(f, "look up") }

func (s *parted) remove(f *fn, _ *ir.Value) *ir.Value { return s.refuse(f, "delete") }
