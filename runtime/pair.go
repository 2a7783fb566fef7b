package runtime

import (
	"slices"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// attachPair attaches an entry probe and its partner as one; false: the kernel
// does not, and they are to be attached one by one.
func (s *Session) attachPair(p *object.Program) bool {
	prog, err := s.loadProgram(p.Partner.Both)
	if err != nil {
		return false
	}
	link, err := probes.AttachSession(prog, pointers(p.Points))
	if err != nil {
		prog.Close()
		return false
	}
	// What the two were loaded for is done by the one.
	s.progs[p.Name].Close()
	s.progs[p.Name] = prog
	s.links = append(s.links, attached{link, nil, p})
	for _, at := range slices.Concat(p.Points, s.obj.Programs[p.Partner.Program].Points) {
		s.attachedTo[countedAs(&at)] = true
	}
	return true
}
