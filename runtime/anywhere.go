package runtime

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// codeWatch attaches programs to functions in the files that processes map as code: files
// that are mapped when the session starts and, from a goroutine, files that are mapped
// later.
type codeWatch struct {
	s      *Instance
	progs  []*object.Program // with an anywhere point
	only   int               // the process to trace; 0: all
	mapped *fileWatch
	files  probes.CodeFiles
	links  []attached
	failed map[string]bool // messages that have been printed
	places int             // instructions with a probe
	there  map[*object.Point]bool
	near   map[*object.Point][]string // functions with names similar to those of points that were not found
	tried  int                        // number of files that were searched for such names
}

// watchCode attaches the programs with anywhere points to the files of running processes,
// and to others when they are mapped.
func (s *Instance) watchCode() {
	w := &codeWatch{s: s, failed: map[string]bool{}, there: map[*object.Point]bool{}, near: map[*object.Point][]string{}}
	for _, p := range s.obj.Programs {
		if slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere }) && s.progs[p.Name] != nil {
			w.progs = append(w.progs, p)
			w.only = p.Points[0].PID
		}
	}
	if len(w.progs) == 0 {
		return
	}
	w.mapped = s.newFileWatch(allProcesses, w.found)
	w.survey()
	for _, p := range w.progs {
		for i := range p.Points {
			s.attachedTo[countedAs(&p.Points[i])] = true
		}
	}
	w.reportMissing()
	s.code = w
	if !s.opt.DryRun {
		w.mapped.follow()
	}
}

// reportMissing warns about points whose function is in no file yet. It ignores points of
// providers, which have points for several libraries.
func (w *codeWatch) reportMissing() {
	if w.s.opt.NoWarnings || w.s.obj.Settings.MissingProbes == "ignore" {
		return
	}
	for _, p := range w.progs {
		for i := range p.Points {
			at := &p.Points[i]
			if !at.Anywhere || w.there[at] || !strings.Contains(at.Span.Text(), at.Func) {
				continue
			}
			msg := "no process has a function " + at.Func + " yet"
			if w.only != 0 {
				msg = fmt.Sprintf("process %d has no function %s yet", w.only, at.Func)
			}
			d := source.Diag{Severity: source.Warning, Span: at.Span, Msg: msg}
			if near := source.Nearest(at.Func, w.near[at]); near != "" {
				d.Hint = "did you mean '" + near + "'?"
			}
			io.WriteString(w.s.opt.Stderr, d.Render())
		}
	}
	w.near = nil
}

// survey attaches to the files that are mapped now.
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
	w.file(m.Path, w.mapped.pathsOf(pid, m)...)
}

// file attaches to the functions of a file, unless that has been done. The file can be
// opened by one of paths.
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
	// If several programs are attached to one instruction, the last one runs first.
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
			if len(more) > 0 || err != nil {
				w.there[at] = true
			} else {
				w.alike(f, at)
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

// maxAlike is the number of files that are searched for names of functions to suggest.
const maxAlike = 4

// alike searches a file for functions with names similar to that of a point, if the user
// has named the file.
func (w *codeWatch) alike(f *probes.CodeFile, at *object.Point) {
	if w.near == nil || w.there[at] || !probes.NamesFile(at) || w.tried >= maxAlike {
		return
	}
	w.tried++
	if name := f.Alike(at); name != "" {
		w.near[at] = append(w.near[at], name)
	}
}

// attach attaches a program to points in one file.
func (w *codeWatch) attach(p *object.Program, points []*object.Point) {
	add := func(l attached) { w.links = append(w.links, l) }
	_ = w.s.linkAll(w.s.progs[p.Name], points, func(link io.Closer, at *object.Point) error {
		add(attached{link, nil, p})
		if w.places++; at == nil {
			w.places += len(points) - 1
		}
		return nil
	}, func(at *object.Point, err error) error {
		w.fail(fmt.Sprintf("Unable to attach probe: %s: %s", at.Name, reasonOf(err)))
		return nil
	})
	w.s.fetchAt(p, points, add)
}

// fail prints a message once.
func (w *codeWatch) fail(message string) {
	if !w.failed[message] && !w.s.opt.NoWarnings {
		fmt.Fprintf(w.s.opt.Stderr, "WARNING: %s\n", message)
	}
	w.failed[message] = true
}

// endCode stops attaching and adds the links to those of the session.
func (s *Instance) endCode() {
	w := s.code
	if w == nil {
		return
	}
	s.code = nil
	w.mapped.close(s.warnings())
	if n := w.files.Left(); n > 0 && !s.opt.NoWarnings {
		fmt.Fprintf(s.opt.Stderr, "WARNING: %d files were left out, because %d had been looked at: **/NAME looks at fewer, -p at those of one process\n", n, w.files.Len())
	}
	if s.opt.Verbose {
		fmt.Fprintf(s.opt.Stderr, "Code of processes: %d files, probes at %d places in them\n", w.files.Len(), w.places)
	}
	s.links = append(s.links, w.links...)
}
