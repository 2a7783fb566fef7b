package runtime

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

// owners returns the names of the containers, pods and units that cgroups belong to. It
// keeps the names of cgroups that have been removed.
type owners struct {
	system cgroups.System
	root   string // directory of the version 2 hierarchy; "": not known yet, or not mounted
	names  map[uint64]ownerNames

	surveyed time.Time     // when the survey ended
	took     time.Duration // how long it took
}

// ownerNames holds the texts that are printed for a cgroup.
type ownerNames struct{ container, pod, unit string }

// noOwner is the text for a missing container, pod or unit.
const noOwner = "-"

// survey reads the paths of all cgroups, so that their names are still known after they
// have been removed. It uses at most a twentieth of the session's time.
func (o *owners) survey(now time.Time) {
	if o.surveyed.Add(20 * o.took).After(now) {
		return
	}
	if o.root == "" {
		o.root, _ = cgroups.Version2("/proc")
	}
	if o.root == "" {
		return
	}
	for id, path := range cgroups.Cgroups(o.root) {
		if _, ok := o.names[id]; !ok {
			o.note(id, path)
		}
	}
	o.surveyed = time.Now()
	o.took = o.surveyed.Sub(now)
}

// of returns the names for a cgroup.
func (o *owners) of(id uint64) ownerNames {
	if n, ok := o.names[id]; ok {
		return n
	}
	if o.root == "" {
		o.root, _ = cgroups.Version2("/proc")
	}
	if path, ok := cgroups.PathNow(o.root, id); ok {
		return o.note(id, path)
	}
	gone := fmt.Sprintf("cgroup %d", id) // it was removed before it was surveyed
	return ownerNames{gone, gone, gone}
}

// note finds the names for a cgroup and stores them.
func (o *owners) note(id uint64, path string) ownerNames {
	found := o.system.Names(path)
	n := ownerNames{cmp.Or(found.Container, noOwner), cmp.Or(found.Pod, noOwner), cmp.Or(found.Unit, noOwner)}
	if o.names == nil {
		o.names = map[uint64]ownerNames{}
	}
	o.names[id] = n
	return n
}

// Container implements builtins.Names.
func (n *names) Container(id uint64) string { return n.owners.of(id).container }

// Pod implements builtins.Names.
func (n *names) Pod(id uint64) string { return n.owners.of(id).pod }

// Unit implements builtins.Names.
func (n *names) Unit(id uint64) string { return n.owners.of(id).unit }

// surveyOwners surveys the cgroups if the script prints their containers, pods or units.
func (s *Instance) surveyOwners(now time.Time) {
	if s.usesOwners {
		s.env.names.owners.survey(now)
	}
}

// mergeOwners merges entries of a map whose keys have the same text because several
// cgroups belong to the same container, pod or unit. Only aggregations can be merged.
func (s *Instance) mergeOwners(m *object.Map, pairs []store.Entry) []store.Entry {
	ours := false
	eachOpaque(m.Key, 0, func(t *types.Type, _ int) {
		d := s.defs.ForType(t.Name)
		ours = ours || d != nil && d.OfCgroup
	})
	d := s.defs.ForType(m.Value.Name)
	if !ours || m.Value.Kind != types.Agg || d == nil || d.Merge == nil {
		return pairs
	}
	at := map[string]int{}
	var out []store.Entry
	for _, p := range pairs {
		key := fmt.Sprintf("%#v", s.env.Decoder().Value(m.Key, p.Key))
		if i, ok := at[key]; ok {
			d.Merge(m.Value, out[i].Value, p.Value)
			continue
		}
		at[key] = len(out)
		out = append(out, p)
	}
	return out
}

var _ builtins.Names = (*names)(nil)
