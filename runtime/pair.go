package runtime

import (
	"slices"

	"github.com/gotrace/gotrace/runtime/object"
)

// attachPair attaches an entry probe and its return probe with one link. It reports
// whether it did; if not, the two must be attached separately.
func (s *Instance) attachPair(p *object.Program) bool {
	prog, err := s.loadProgram(p.Partner.Both)
	if err != nil {
		return false
	}
	link, err := s.kind(&p.Points[0]).AttachSession(s.at, prog, pointers(p.Points))
	if err != nil {
		prog.Close()
		return false
	}
	s.joined[s.obj.Programs[p.Partner.Program]] = true
	// The combined program replaces the two separate ones.
	s.progs[p.Name].Close()
	s.progs[p.Name] = prog
	s.links = append(s.links, attached{link, nil, p})
	for _, at := range slices.Concat(p.Points, s.obj.Programs[p.Partner.Program].Points) {
		s.attachedTo[countedAs(&at)] = true
	}
	return true
}
