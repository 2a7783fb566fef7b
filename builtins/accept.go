package builtins

import (
	"reflect"
	"slices"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Sent describes the events that a builtin handles.
type Sent struct {
	Args []int // minimum size in bytes of each argument; 0: any, also that of a packed one
	Lits []any // a value of the type of each literal
}

// fits returns an error if an event does not match the description. It may have more
// arguments and literals.
func (s *Sent) fits(e *object.Event) error {
	if len(e.Args) < len(s.Args) {
		return outline.Errorf("it has %d arguments instead of %d", len(e.Args), len(s.Args))
	}
	for i, size := range s.Args {
		if a := &e.Args[i]; size > 0 && (a.Packed || a.Type.Size < size) {
			return outline.Errorf("argument %d has fewer than %d bytes", i, size)
		}
	}
	if len(e.Lits) < len(s.Lits) {
		return outline.Errorf("it has %d literals instead of %d", len(e.Lits), len(s.Lits))
	}
	for i, want := range s.Lits {
		if reflect.TypeOf(e.Lits[i]) != reflect.TypeOf(want) {
			return outline.Errorf("literal %d is a %T instead of a %T", i, e.Lits[i], want)
		}
	}
	return nil
}

// Accept returns an error if an object contains an event or a type that its builtin
// does not support. The compiler never creates such objects, but a file may contain
// anything. The error wraps object.ErrFormat.
func (r *Registry) Accept(o *object.Object) error {
	seen := map[*types.Type]bool{}
	for i := range o.Events {
		if err := r.acceptEvent(&o.Events[i], seen); err != nil {
			return outline.Errorf("%w: event %d, %s: %w", object.ErrFormat, i, o.Events[i].Def, err)
		}
	}
	for i := range o.Maps {
		m := &o.Maps[i]
		for _, t := range []*types.Type{m.Key, m.Value} {
			if err := r.acceptType(t, seen); err != nil {
				return outline.Errorf("%w: map %s: %w", object.ErrFormat, m.Name, err)
			}
		}
	}
	return nil
}

func (r *Registry) acceptEvent(e *object.Event, seen map[*types.Type]bool) error {
	if e.Call != nil {
		return nil
	}
	d := r.Lookup(e.Def)
	if d == nil || d.Handle == nil {
		return outline.Errorf("no builtin of that name handles events")
	}
	var err error
	for _, s := range d.Sends {
		if err = s.fits(e); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, a := range e.Args {
		if err := r.acceptType(a.Type, seen); err != nil {
			return err
		}
	}
	for _, l := range e.Lits {
		m, ok := l.(*object.Message)
		if !ok {
			continue
		}
		if n := decode.ParseFormat(m.Format).NumArgs(); n > len(m.Args) {
			return outline.Errorf("its format has %d conversions for %d values", n, len(m.Args))
		}
		for _, a := range m.Args {
			if err := r.acceptType(a.Type, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// acceptType checks the types of builtins in t. seen contains types that were accepted
// before.
func (r *Registry) acceptType(t *types.Type, seen map[*types.Type]bool) error {
	if t == nil || seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind {
	case types.Opaque, types.Agg:
		d := r.ForType(t.Name)
		if d == nil {
			return outline.Errorf("there is no type %s", t.Name)
		}
		if t.Size < d.typeSize() || t.Kind == types.Agg && d.Merge == nil || d.AcceptType != nil && !d.AcceptType(t) {
			return outline.Errorf("there is no type %s of %d bytes with the parameters %d", t.Name, t.Size, t.Params)
		}
	case types.Array:
		return r.acceptType(t.Elem, seen)
	}
	for _, f := range slices.Concat(t.Fields, t.Members()) {
		if err := r.acceptType(f.Type, seen); err != nil {
			return err
		}
	}
	return nil
}

// typeSize returns the minimum size in bytes of a type named TypeName.
func (d *Def) typeSize() int { return max(d.TypeSize, 8) }
