package runtime

import (
	"fmt"

	"github.com/gotrace/gotrace/runtime/object"
)

// attachFetcher attaches the fetcher of a program, if it has one, to the program's points.
// It is called so that the fetcher runs before the program. Without it, the program does
// not find memory that the process has not touched, which is no error.
func (s *Session) attachFetcher(p *object.Program) {
	for _, f := range s.obj.Fetchers {
		prog := s.progs[f.Program.Name]
		if s.obj.Programs[f.For] != p || prog == nil {
			continue
		}
		kind, points := s.kind(&p.Points[0]), pointers(p.Points)
		if kind.AttachMany != nil && len(points) > 1 {
			if link, err := kind.AttachMany(s.at, prog, points); err == nil {
				s.links = append(s.links, attached{link, nil, f.Program})
				continue
			}
		}
		for _, at := range points {
			link, err := kind.Attach(s.at, prog, at)
			if err != nil {
				s.noFetcher(f.Program.Name, err)
				break
			}
			s.links = append(s.links, attached{link, nil, f.Program})
		}
	}
}

// noFetcher reports, with -v, that the kernel has refused a fetcher.
func (s *Session) noFetcher(name string, err error) {
	if s.opt.Verbose {
		fmt.Fprintf(s.opt.Stderr, "%s, which reads memory that is not present yet, is left out: %v\n", name, reason(err))
	}
}
