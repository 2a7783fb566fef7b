package builtins

import "strings"

// Registry finds builtins by name and formatters by type name.
type Registry struct {
	byName map[string]*Def
	byType map[string]*Def
	all    []*Def
}

// NewRegistry indexes defs.
func NewRegistry(defs []*Def) *Registry {
	r := &Registry{byName: map[string]*Def{}, byType: map[string]*Def{}, all: defs}
	for _, d := range defs {
		r.byName[d.Name] = d
		if d.TypeName != "" && (d.Format != nil || d.Merge != nil) {
			r.byType[d.TypeName] = d
		}
	}
	return r
}

// Lookup finds a builtin by its name, or nil. All of arg0, arg1, … are one
// builtin: "arg".
func (r *Registry) Lookup(name string) *Def {
	if _, ok := ArgIndex(name); ok {
		return r.byName[argFamily]
	}
	if name == argFamily {
		return nil
	}
	return r.byName[name]
}

// ForType finds the builtin that owns an Opaque or Agg type, or nil. The
// unsigned variants usum_t, umin_t … belong to the same builtin as sum_t, min_t.
func (r *Registry) ForType(name string) *Def {
	if d := r.byType[name]; d != nil {
		return d
	}
	if d := r.byType[strings.TrimPrefix(name, "u")]; d != nil && d.Kind == Aggregation {
		return d
	}
	return nil
}

// All lists the builtins in the order of the table.
func (r *Registry) All() []*Def { return r.all }

// Names lists what a script can call them, for did-you-mean hints.
func (r *Registry) Names() []string {
	names := make([]string, len(r.all))
	for i, d := range r.all {
		names[i] = d.Name
	}
	return names
}
