package runtime

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// maxCodeFiles limits the files in which anywhere points are attached or were looked for.
const maxCodeFiles = 32768

// codeWatch attaches programs to functions in the files that processes map as code: those
// that they have mapped when the session starts and, from a goroutine, those that they map
// later. It is the Closer of these links.
type codeWatch struct {
	s      *Session
	progs  []*object.Program // with an anywhere point
	only   int               // the process to trace; 0: all
	log    *mmapLog          // nil: later files are not seen
	files  probes.CodeFiles
	links  []io.Closer
	failed map[string]bool // messages that have been printed
	places int             // instructions with a probe
	lost   int             // files that there was no room for
	stop   chan struct{}
	wake   int // eventfd that ends the wait for the log
	done   sync.WaitGroup
}

// watchCode attaches the programs with anywhere points to the files of running processes,
// and to others when they are mapped. It returns nil if there are no such points.
func (s *Session) watchCode() *codeWatch {
	w := &codeWatch{s: s, failed: map[string]bool{}, stop: make(chan struct{})}
	for _, p := range s.obj.Programs {
		if slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere }) && s.progs[p.Name] != nil {
			w.progs = append(w.progs, p)
			w.only = p.Points[0].PID
		}
	}
	if len(w.progs) == 0 {
		return nil
	}
	// The log comes first, so that no file is missed between both.
	var err error
	if w.log, err = openMmapLog(allProcesses, 0, unix.PerfBitWatermark, 1); err != nil && !s.opt.NoWarnings {
		fmt.Fprintf(s.opt.Stderr, "WARNING: files that processes map from now on are not traced: %v\n", err)
	}
	w.survey()
	for _, p := range w.progs {
		for i := range p.Points {
			s.attachedTo[countedAs(&p.Points[i])] = true
		}
	}
	if w.log != nil && !s.opt.DryRun {
		w.wake, _ = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		w.done.Go(w.follow)
	}
	return w
}

// survey attaches to the files that exist.
func (w *codeWatch) survey() {
	proc := w.s.procRoot()
	if w.only != 0 {
		w.process(proc, w.only)
	} else if dir, err := os.Open(proc); err == nil {
		names, _ := dir.Readdirnames(-1)
		dir.Close()
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				w.process(proc, pid)
			}
		}
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

// process attaches to the files of a process.
func (w *codeWatch) process(proc string, pid int) {
	for _, m := range symbols.Executable(proc, pid) {
		w.Mapped(pid, m)
	}
}

// follow attaches to files when they are mapped.
func (w *codeWatch) follow() {
	for {
		w.log.wait(tick, w.wake)
		select {
		case <-w.stop:
			return
		default:
			w.log.drain(w)
		}
	}
}

// Mapped implements processWatcher.
func (w *codeWatch) Mapped(pid int, m symbols.Mapping) {
	if m.Path == "" || m.Path[0] != '/' || w.only != 0 && pid != w.only {
		return
	}
	proc := w.s.procRoot()
	w.file(m.Path, fmt.Sprintf("%s/%d/map_files/%x-%x", proc, pid, m.Start, m.End), fmt.Sprintf("%s/%d/root%s", proc, pid, m.Path), m.Path)
}

// Forked, Executed and Ended implement processWatcher.
func (w *codeWatch) Forked(pid, parent int) {}
func (w *codeWatch) Executed(pid int)       {}
func (w *codeWatch) Ended(pid int)          {}

// file attaches to the functions of a file, unless that has been done. paths are those by
// which the file can be opened.
func (w *codeWatch) file(name string, paths ...string) {
	if w.files.Len() >= maxCodeFiles {
		w.lost++
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
			w.fail(fmt.Sprintf("Unable to attach probe: %s: %v", at.Name, err))
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
	close(w.stop)
	if w.log != nil {
		if w.wake != 0 {
			unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		}
		w.done.Wait()
		w.log.close()
	}
	if w.wake != 0 {
		unix.Close(w.wake)
	}
	if !w.s.opt.NoWarnings {
		if w.log != nil && w.log.lost > 0 {
			fmt.Fprintf(w.s.opt.Stderr, "WARNING: %d records of mapped files were lost: functions in them may not have been traced\n", w.log.lost)
		}
		if w.lost > 0 {
			fmt.Fprintf(w.s.opt.Stderr, "WARNING: %d files were left out, because %d had been looked at\n", w.lost, maxCodeFiles)
		}
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
