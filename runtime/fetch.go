package runtime

import (
	"fmt"
	"io"
	"slices"

	"github.com/gotrace/gotrace/runtime/object"
)

// attachFetchers attaches the fetcher of a program, if it has one, to the program's points.
func (s *Instance) attachFetchers(p *object.Program) {
	if slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere }) {
		return // watchCode attaches it
	}
	s.fetchAt(p, pointers(p.Points), func(l attached) { s.links = append(s.links, l) })
}

// fetchAt attaches the fetcher of a program, if it has one, to points and calls add with
// the links. The caller chooses the order so that the fetcher runs before the program. If
// the fetcher cannot be attached, the program cannot read memory that the process has not
// touched, which is not an error.
func (s *Instance) fetchAt(p *object.Program, points []*object.Point, add func(attached)) {
	for _, f := range s.obj.Fetchers {
		prog := s.progs[f.Program.Name]
		if s.obj.Programs[f.For] != p || prog == nil {
			continue
		}
		err := s.linkAll(prog, points, func(link io.Closer, _ *object.Point) error {
			add(attached{link, nil, f.Program})
			return nil
		}, func(_ *object.Point, err error) error { return err })
		if err != nil {
			s.noFetcher(f.Program.Name, err)
		}
	}
}

// noFetcher reports, with -v, that the kernel has refused a fetcher.
func (s *Instance) noFetcher(name string, err error) {
	if s.opt.Verbose {
		fmt.Fprintf(s.opt.Stderr, "%s, which reads memory that is not present yet, is left out: %v\n", name, reason(err))
	}
}
