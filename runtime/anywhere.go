package runtime

import (
	"fmt"
	"io"
	"slices"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// codeWatch attaches programs to functions in the files that processes map as code: those
// that they have mapped when the session starts and, from a goroutine, those that they map
// later. It is the Closer of these links.
type codeWatch struct {
	s      *Session
	progs  []*object.Program // with an anywhere point
	only   int               // the process to trace; 0: all
	mapped *fileWatch
	files  probes.CodeFiles
	links  []io.Closer
	failed map[string]bool // messages that have been printed
	places int             // instructions with a probe
}

// watchCode attaches the programs with anywhere points to the files of running processes,
// and to others when they are mapped. It returns nil if there are no such points.
func (s *Session) watchCode() *codeWatch {
	w := &codeWatch{s: s, failed: map[string]bool{}}
	for _, p := range s.obj.Programs {
		if slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere }) && s.progs[p.Name] != nil {
			w.progs = append(w.progs, p)
			w.only = p.Points[0].PID
		}
	}
	if len(w.progs) == 0 {
		return nil
	}
	w.mapped = s.newFileWatch(allProcesses, w.found)
	w.survey()
	for _, p := range w.progs {
		for i := range p.Points {
			s.attachedTo[countedAs(&p.Points[i])] = true
		}
	}
	if !s.opt.DryRun {
		w.mapped.follow()
	}
	return w
}

// survey attaches to the files that exist.
func (w *codeWatch) survey() {
	if w.only != 0 {
		w.mapped.process(w.only)
	} else {
		w.mapped.survey()
	}
	for _, p := range w.progs {
		for i := range p.Points {
			for _, path := range probes.StandardFiles(&p.Points[i]) {
				w.file(path, path)
			}
		}
	}
	if c := w.s.opt.Child; c != nil {
		for _, path := range filesOfProgram(c.cmd.Args[1]) {
			w.file(path, path)
		}
	}
}

// found attaches to a file that a process has mapped.
func (w *codeWatch) found(pid int, m symbols.Mapping) {
	if m.Path == "" || m.Path[0] != '/' || w.only != 0 && pid != w.only {
		return
	}
	proc := w.mapped.proc
	w.file(m.Path, fmt.Sprintf("%s/%d/map_files/%x-%x", proc, pid, m.Start, m.End), fmt.Sprintf("%s/%d/root%s", proc, pid, m.Path), m.Path)
}

// file attaches to the functions of a file, unless that has been done. paths are those by
// which the file can be opened.
func (w *codeWatch) file(name string, paths ...string) {
	if !slices.ContainsFunc(w.progs, func(p *object.Program) bool {
		return slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere && probes.AnywhereIn(&at, name) })
	}) {
		return
	}
	f := w.files.Open(name, paths...)
	if f == nil {
		return
	}
	defer f.Close()
	// Of several programs at an instruction, the last one that is attached runs first.
	for _, p := range slices.Backward(w.progs) {
		var found []*object.Point
		for i := range p.Points {
			at := &p.Points[i]
			if !at.Anywhere {
				continue
			}
			more, err := f.Find(at)
			if err != nil {
				w.fail(err.Error())
			}
			for _, q := range more {
				if !slices.ContainsFunc(found, func(o *object.Point) bool { return o.FileOffset == q.FileOffset && o.Kind == q.Kind }) {
					found = append(found, q)
				}
			}
		}
		w.attach(p, found)
	}
}

// attach attaches a program to points in one file.
func (w *codeWatch) attach(p *object.Program, points []*object.Point) {
	if len(points) == 0 {
		return
	}
	kind, prog := w.s.kind(points[0]), w.s.progs[p.Name]
	if len(points) > 1 {
		if link, err := kind.AttachMany(w.s.at, prog, points); err == nil {
			w.links = append(w.links, link)
			w.places += len(points)
			return
		}
	}
	for _, at := range points {
		link, err := kind.Attach(w.s.at, prog, at)
		if err != nil {
			w.fail(fmt.Sprintf("Unable to attach probe: %s: %s", at.Name, reasonOf(err)))
			continue
		}
		w.links = append(w.links, link)
		w.places++
	}
}

// fail prints a message once.
func (w *codeWatch) fail(message string) {
	if !w.failed[message] && !w.s.opt.NoWarnings {
		fmt.Fprintf(w.s.opt.Stderr, "WARNING: %s\n", message)
	}
	w.failed[message] = true
}

// Close detaches the programs from all files.
func (w *codeWatch) Close() error {
	w.mapped.close(w.s.warnings())
	if n := w.files.Left(); n > 0 && !w.s.opt.NoWarnings {
		fmt.Fprintf(w.s.opt.Stderr, "WARNING: %d files were left out, because %d had been looked at: **/NAME looks at fewer, -p at those of one process\n", n, w.files.Len())
	}
	if w.s.opt.Verbose {
		fmt.Fprintf(w.s.opt.Stderr, "Code of processes: %d files, probes at %d places in them\n", w.files.Len(), w.places)
	}
	inParallel(asAttached(w.links), func(l attached) { l.Close() })
	return nil
}

// asAttached returns links without their points.
func asAttached(links []io.Closer) []attached {
	var list []attached
	for _, l := range links {
		list = append(list, attached{Closer: l})
	}
	return list
}
