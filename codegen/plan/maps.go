package plan

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// layOut decides how each map is stored.
func (p *Program) layOut(u *uses, foreignReaders bool) error {
	k := p.Env.Kernel
	target := store.Target{
		CPUs:         k.NumCPU(),
		AtomicFetch:  k.Has(probes.FeatAtomicFetch),
		LookupPerCPU: k.Has(probes.FeatLookupPerCPU),
		LongKeys:     k.Has(probes.FeatLongKeys),
		NoTables:     foreignReaders,
	}
	var diags source.Diags
	var specs []*store.Spec
	for _, m := range p.Maps {
		if m.Value == nil || m.Keyed && m.Key == nil {
			continue // named but never given a value, so there is nothing to store
		}
		s := p.spec(m, target.LongKeys, &diags)
		if how := u.maps[m]; how != nil {
			s.Uses, s.Programs = how.uses, how.programs
			s.Sockets = !how.others && store.IsSocket(s.Key) && k.Has(probes.FeatSocketStorage)
		}
		if m.Value.Kind == types.Agg && m.Value.Size > store.MaxPerCPU && s.ValueParts == 0 {
			diags.Errorf(m.Span, "%s: a value of %d bytes is more than the %d a CPU can keep", m.Name, m.Value.Size, store.MaxPerCPU)
			continue
		}
		specs = append(specs, s)
		p.Order = append(p.Order, &Map{Info: m, Key: s.Key, Uses: s.Uses})
	}
	if err := diags.Err(); err != nil {
		return err
	}
	p.Warnings = diags.All()
	l, err := store.Plan(target, specs)
	if err != nil {
		return err
	}
	p.Kernel = l.Kernel
	for i, m := range p.Order {
		m.Store, m.Object = l.Stores[i], l.Maps[i]
		p.Stored[m.Info] = m
	}
	return nil
}

// spec returns the properties that determine how m is stored, except its uses.
func (p *Program) spec(m *builtins.MapInfo, longKeys bool, diags *source.Diags) *store.Spec {
	s := &store.Spec{
		Name: m.Name, Span: m.Span, Value: m.Value, Max: m.Max,
		Declared: m.Decl != "", PerCPU: strings.HasPrefix(m.Decl, "percpu"), LRU: strings.HasSuffix(m.Decl, "lruhash"),
	}
	if s.Max == 0 {
		s.Max = p.Config.MaxMapKeys
	}
	if def := p.Defs.ForType(m.Value.Name); def != nil && def.UpdatePart != nil {
		s.ValueParts = def.PartSize
	}
	if m.Keyed {
		s.Key = m.Key
		if !longKeys {
			s.Key = p.fitKey(m, s.MaxOldKey(), diags)
		}
	}
	return s
}

// fitKey returns the type in which m's keys are stored without FeatLongKeys, when a key has
// at most limit bytes. Strings that are too long are truncated, with a warning.
func (p *Program) fitKey(m *builtins.MapInfo, limit int, diags *source.Diags) *types.Type {
	if m.Key.Size <= limit {
		return m.Key
	}
	for n := limit; n > 1; n-- {
		if t := cutStrings(m.Key, n); t.Size <= limit {
			diags.Warnf(m.Span, "Strings in the keys of %s are cut to %d characters: %s",
				m.Name, n-1, probes.Needs(p.Env.Kernel, fmt.Sprintf("a key of more than %d bytes", limit), probes.FeatLongKeys))
			return t
		}
	}
	diags.Errorf(m.Span, "%s, where %d is the most", probes.Needs(p.Env.Kernel, fmt.Sprintf("A key of %d bytes", m.Key.Size), probes.FeatLongKeys), limit)
	return m.Key
}

// cutStrings returns t with strings of at most n bytes.
func cutStrings(t *types.Type, n int) *types.Type {
	switch t.Kind {
	case types.String:
		if t.Size > n {
			c := *t
			c.Size = n
			return &c
		}
	case types.Tuple, types.Record:
		elems, names := make([]*types.Type, len(t.Fields)), make([]string, len(t.Fields))
		for i, f := range t.Fields {
			elems[i], names[i] = cutStrings(f.Type, n), f.Name
		}
		if t.Kind == types.Tuple {
			return types.NewTuple(elems...)
		}
		return types.NewRecord(names, elems)
	}
	return t
}

// Objects describes the maps for the process that reads them.
func (p *Program) Objects() []object.Map {
	out := make([]object.Map, len(p.Order))
	for i, m := range p.Order {
		out[i] = m.Object
	}
	return out
}
