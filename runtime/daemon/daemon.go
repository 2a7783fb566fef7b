// Package daemon keeps the scripts of a directory running. A script that changes is
// replaced, and one that fails does not affect the others.
package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Runner is a script that has been loaded: a *runtime.Instance.
type Runner interface {
	Run(ctx context.Context) (status int, err error)
}

// Host has the functions of the surrounding program that the daemon calls. They are
// called by the goroutine of Run, except for Ended.
type Host interface {
	// Load compiles a script and loads it. The host must call attached when all probes
	// are attached. alone reports that the probes may not be attachable while another
	// version of the script is attached.
	Load(name, text string, attached func()) (s Runner, alone bool, err error)
	// Started is called when the probes of a script are attached and the new session
	// replaces an earlier one. Removed is called when the file of a script is gone.
	Started(name string, s Runner)
	Removed(name string)
	// Failed reports that a script could not be loaded or attached, and whether its
	// previous version still runs.
	Failed(name string, err error, running bool)
	// Ended reports that a script has ended by itself.
	Ended(name string, status int, err error)
	// Settled is called when all scripts that were found have been started.
	Settled()
}

// Suffix is the suffix of the names of scripts.
const Suffix = ".bt"

// MaxScript is the size in bytes above which a script is refused.
const MaxScript = 1 << 20

// Times of the daemon.
const (
	quiet       = 200 * time.Millisecond // without changes before the scripts are read
	attachWait  = 10 * time.Second       // for all probes of a script to be attached
	replaceWait = time.Minute            // the same, while the previous version runs
	stopWait    = time.Second            // for a script to end
	lookAgain   = 10 * time.Second       // between checks of files that are not watched
)

// Daemon runs the scripts of a directory.
type Daemon struct {
	dir     string
	host    Host
	scripts map[string]*script // by file name
	missing bool               // the directory could not be read, which has been reported
}

// script is a file of the directory.
type script struct {
	text string // text of the file at the last attempt to load it
	runs string // the text of the version that runs
	run  *run   // nil: it does not run
}

// run is a session that runs.
type run struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when it has ended
	err    error         // the error with which it ended
	shown  chan bool     // receives whether Started was called, when that is decided
	done   chan struct{} // closed when it has ended and the host was told
}

// running reports whether the session is still running.
func (r *run) running() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// stop ends the session. It waits for at most a second.
func (r *run) stop() {
	if r == nil {
		return
	}
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(stopWait):
	}
}

// New returns a daemon for a directory, which must exist.
func New(dir string, host Host) (*Daemon, error) {
	st, err := os.Stat(dir)
	if err == nil && !st.IsDir() {
		err = errors.New("it is not a directory")
	}
	if err == nil {
		_, err = os.ReadDir(dir)
	}
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	return &Daemon{dir: dir, host: host, scripts: map[string]*script{}}, nil
}

// Run runs the scripts until ctx is done. It reads them again when the directory changes,
// unless once is set, and when a value arrives on reload, which also restarts scripts
// that have ended. If once is set, it also returns when all scripts have ended.
func (d *Daemon) Run(ctx context.Context, reload <-chan os.Signal, once bool) {
	defer d.stopAll()
	w := &watcher{}
	if !once {
		w = watch(d.dir)
		defer w.close()
	}
	if !d.load(ctx, false) {
		return
	}
	d.host.Settled()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	ended := make(chan struct{})
	if once {
		go func() { d.waitAll(); close(ended) }()
		reload = nil
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-reload:
			d.load(ctx, true)
		case <-w.changed:
			if !settle(ctx, w.changed) {
				return
			}
			w.add() // another directory may have the name
			d.load(ctx, false)
		case <-again.C:
			if !once {
				w.add()
				d.load(ctx, false) // for files that links point to
			}
		}
	}
}

// settle waits until nothing has changed for a while. It returns false if ctx is done.
func settle(ctx context.Context, changed <-chan struct{}) bool {
	end := time.After(10 * quiet)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-end:
			return true
		case <-time.After(quiet):
			return true
		}
	}
}

// load reads the directory and starts, replaces and stops scripts. If all is set, it also
// starts the scripts that have ended. It returns false if ctx was done before the end.
func (d *Daemon) load(ctx context.Context, all bool) bool {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		if !d.missing {
			d.host.Failed(d.dir, err, true)
		}
		d.missing = true
		return true
	}
	d.missing = false
	type file struct {
		name, text string
		err        error
	}
	var files []file
	found := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		path := filepath.Join(d.dir, name)
		if st, err := os.Stat(path); !strings.HasSuffix(name, Suffix) || strings.HasPrefix(name, ".") || err == nil && !st.Mode().IsRegular() {
			continue
		}
		text, err := read(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		found[name] = true
		files = append(files, file{name, text, err})
	}
	// Stop these first, because a file may have been renamed and its probes may be
	// exclusive.
	var gone []string
	for name := range d.scripts {
		if !found[name] {
			gone = append(gone, name)
		}
	}
	sort.Strings(gone)
	for _, name := range gone {
		d.scripts[name].run.stop()
		delete(d.scripts, name)
		d.host.Removed(name)
	}
	for _, f := range files {
		if ctx.Err() != nil {
			return false
		}
		d.update(ctx, f.name, f.text, f.err, all)
	}
	return ctx.Err() == nil
}

// read reads a script. It does not block, even if a link points to a file such as
// /proc/kmsg.
func read(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 16<<10); ; {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", err
		case n == 0:
			return string(text), nil
		}
		if text = append(text, buf[:n]...); len(text) > MaxScript {
			return "", errors.New("the file is too large for a script")
		}
	}
}

// update starts or replaces a script whose text is new. A version that cannot be loaded or
// attached does not replace the one that runs. update waits until all probes are attached,
// but not after end is done.
func (d *Daemon) update(end context.Context, name, text string, err error, all bool) {
	s := d.scripts[name]
	if s == nil {
		s = &script{text: "\x00"} // a text that no script file has
		d.scripts[name] = s
	}
	key := text
	if err != nil {
		key = "\x00" + err.Error()
	}
	if s.text == key && (!all || s.run.running()) {
		return
	}
	s.text = key
	if err == nil {
		err = d.replace(end, name, text, s)
	}
	if err != nil {
		d.host.Failed(name, err, s.run.running())
	}
}

// replace starts a new version of a script. If it fails before its probes are attached,
// the previous version continues.
func (d *Daemon) replace(end context.Context, name, text string, s *script) error {
	attached := make(chan struct{})
	session, alone, err := d.host.Load(name, text, sync.OnceFunc(func() { close(attached) }))
	if err != nil {
		return err
	}
	wait := attachWait
	running := s.run.running()
	switch {
	case running && alone:
		s.run.stop()
	case running:
		wait = replaceWait
	}
	r := d.start(name, session)
	select {
	case <-attached:
	case <-r.ended:
		select {
		case <-attached:
		default:
			err = r.err
		}
	case <-end.Done():
	case <-time.After(wait):
	}
	if err == nil {
		s.run.stop()
		s.run, s.runs = r, text
		d.host.Started(name, session)
		r.shown <- true
		return nil
	}
	r.shown <- false
	if running && alone && text != s.runs {
		if err := d.replace(end, name, s.runs, s); err != nil {
			d.host.Failed(name, err, false)
		}
	}
	return err
}

// start runs a session.
func (d *Daemon) start(name string, session Runner) *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{cancel: cancel, ended: make(chan struct{}), shown: make(chan bool, 1), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		var status int
		status, r.err = session.Run(ctx)
		close(r.ended)
		if <-r.shown && (ctx.Err() == nil || r.err != nil) {
			d.host.Ended(name, status, r.err)
		}
	}()
	return r
}

// waitAll waits until all scripts have ended.
func (d *Daemon) waitAll() {
	for _, s := range d.scripts {
		if s.run != nil {
			<-s.run.done
		}
	}
}

// stopAll ends all scripts at the same time.
func (d *Daemon) stopAll() {
	var wg sync.WaitGroup
	for _, s := range d.scripts {
		wg.Go(s.run.stop)
	}
	wg.Wait()
}
