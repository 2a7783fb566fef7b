package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake is a host. A script that contains "bad" cannot be loaded, one with "fails" cannot be
// attached, one with "ends" ends at once, and one with "slow" takes forever to attach its
// probes. Of those with "only", one can be attached at a time.
type fake struct {
	mu    sync.Mutex
	log   []string
	holds bool // a session with "only" is attached
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// take waits until something was recorded, and returns everything that was recorded.
func (f *fake) take(t *testing.T, n int) string {
	t.Helper()
	for range 3000 {
		f.mu.Lock()
		if len(f.log) >= n {
			text := strings.Join(f.log, "; ")
			f.log = nil
			f.mu.Unlock()
			return text
		}
		f.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it does not happen: %q", f.log)
	return ""
}

type session struct {
	f        *fake
	text     string
	attached func()
}

func (s *session) Run(ctx context.Context) (int, error) {
	is := func(word string) bool { return strings.Contains(s.text, word) }
	s.f.mu.Lock()
	taken := is("only") && s.f.holds
	s.f.holds = s.f.holds || is("only")
	s.f.mu.Unlock()
	if taken {
		return 1, errors.New("taken")
	}
	if is("only") {
		defer func() {
			s.f.mu.Lock()
			defer s.f.mu.Unlock()
			s.f.holds = false
		}()
	}
	switch {
	case is("fails"):
		return 1, errors.New("fails")
	case is("slow"):
		s.f.note("attach")
	default:
		s.attached()
	}
	if !is("ends") {
		<-ctx.Done()
		return 0, nil
	}
	return 3, nil
}

func (f *fake) Load(name, text string, attached func()) (s Runner, alone bool, err error) {
	if strings.Contains(text, "bad") {
		return nil, false, errors.New("bad")
	}
	return &session{f, text, attached}, strings.Contains(text, "only"), nil
}

func (f *fake) Started(name string, s Runner) { f.note("start %s", name) }
func (f *fake) Removed(name string)           { f.note("remove %s", name) }
func (f *fake) Settled()                      { f.note("settled") }

func (f *fake) Failed(name string, err error, running bool) {
	f.note("fail %s %v %v", name, err, running)
}

func (f *fake) Ended(name string, status int, err error) { f.note("end %s %d %v", name, status, err) }

// TestRun changes a directory while it is served.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.bt", "one")
	write("b.bt", "bad")
	write("c.txt", "no script")
	write(".d.bt", "hidden")
	os.Mkdir(filepath.Join(dir, "e.bt"), 0o755)
	f := &fake{}
	d, err := New(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reload, done := make(chan os.Signal, 1), make(chan bool)
	go func() { d.Run(ctx, reload, false); close(done) }()
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "start a.bt; fail b.bt bad false; settled"},
		{func() { write("a.bt", "two") }, "start a.bt"},
		{func() { write("a.bt", "bad") }, "fail a.bt bad true"},
		{func() { write("a.bt", "fails") }, "fail a.bt fails true"},
		{func() { write("a.bt", "only") }, "start a.bt"},
		{func() { write("a.bt", "only two") }, "start a.bt"},
		{func() { write("a.bt", "only fails") }, "start a.bt; fail a.bt fails true"},
		{func() { write("b.bt", "fails") }, "fail b.bt fails false"},
		{func() { write("b.bt", "ends") }, "start b.bt; end b.bt 3 <nil>"},
		{func() { reload <- unix.SIGHUP }, "start b.bt; end b.bt 3 <nil>"},
		{func() { os.Rename(filepath.Join(dir, "a.bt"), filepath.Join(dir, "z.bt")) }, "remove a.bt; fail z.bt fails false"},
		{func() { write("z.bt", "only") }, "start z.bt"},
		{func() { os.Rename(filepath.Join(dir, "z.bt"), filepath.Join(dir, "a.bt")) }, "remove z.bt; start a.bt"},
		{func() { os.Remove(filepath.Join(dir, "b.bt")) }, "remove b.bt"},
		{func() { os.Symlink("c.txt", filepath.Join(dir, "y.bt")) }, "start y.bt"},
	} {
		step.do()
		if got := f.take(t, strings.Count(step.want, ";")+1); got != step.want {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
	cancel()
	<-done
	if len(f.log) > 0 {
		t.Errorf("at the end: %q", f.log)
	}
}

// TestReplaced checks that the daemon notices each time that another directory replaces
// the first one.
func TestReplaced(t *testing.T) {
	for _, link := range []bool{false, true} {
		place := t.TempDir()
		dir := filepath.Join(place, "scripts")
		make := func(name, text string) string {
			d := filepath.Join(place, name)
			os.Mkdir(d, 0o755)
			if err := os.WriteFile(filepath.Join(d, "a.bt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			return d
		}
		replace := func(text string) {
			next := make("new"+text, text)
			if link {
				next = filepath.Join(place, "link")
				os.Symlink("new"+text, next)
			} else {
				os.Rename(dir, filepath.Join(place, "old"+text))
			}
			if err := os.Rename(next, dir); err != nil {
				t.Fatal(err)
			}
		}
		if link {
			replace("0")
		} else {
			make("scripts", "0")
		}
		f := &fake{}
		d, err := New(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := chanOf(func() { d.Run(ctx, nil, false) })
		f.take(t, 2)
		began := time.Now()
		for _, text := range []string{"1", "2"} {
			replace(text)
			if got := f.take(t, 1); got != "start a.bt" {
				t.Errorf("link %v: %s", link, got)
			}
			if err := os.WriteFile(filepath.Join(dir, "a.bt"), []byte(text+"changed"), 0o644); err != nil {
				t.Fatal(err)
			}
			f.take(t, 1)
		}
		if took := time.Since(began); took >= 2*lookAgain {
			t.Errorf("link %v: it takes %v", link, took)
		}
		cancel()
		<-done
	}
}

// chanOf returns a channel that is closed when f, which it starts, has returned.
func chanOf(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	return done
}

// TestEndWhileAttaching checks that no further scripts are started after the end.
func TestEndWhileAttaching(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.bt", "b.bt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("slow"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := &fake{}
	d, err := New(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() { d.Run(ctx, nil, false); close(done) }()
	if got := f.take(t, 1); got != "attach" {
		t.Errorf("at the start: %s", got)
	}
	cancel()
	<-done
	if got := strings.Join(f.log, "; "); got != "start a.bt" {
		t.Errorf("after the end: %q", f.log)
	}
}

// TestOnce checks that the daemon ends with its scripts if it does not look for changes.
func TestOnce(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "a.bt"), []byte("ends"), 0o644)
	f := &fake{}
	d, err := New(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	d.Run(context.Background(), nil, true)
	if got := strings.Join(f.log, "; "); !strings.Contains(got, "start a.bt") || !strings.Contains(got, "end a.bt 3 <nil>") {
		t.Error(got)
	}
	for _, dir := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "a.bt")} {
		if _, err := New(dir, f); err == nil {
			t.Errorf("%s is accepted", dir)
		}
	}
}

// TestRead reads files that scripts may link to. It must never block.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	keep, err := os.OpenFile(pipe, os.O_RDWR, 0) // a reader would wait for it
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	for _, c := range []struct {
		path string
		size int
		err  string // "": none
	}{
		{file("empty", 0), 0, ""},
		{file("most", MaxScript), MaxScript, ""},
		{file("more", MaxScript+1), 0, "the file is too large for a script"},
		{"/dev/zero", 0, "the file is too large for a script"},
		{filepath.Join(dir, "none"), 0, "no such file or directory"},
		{dir, 0, "is a directory"},
		{pipe, 0, "resource temporarily unavailable"},
	} {
		text, err := read(c.path)
		if got := fmt.Sprint(err); len(text) != c.size || err == nil != (c.err == "") || err != nil && got != c.err {
			t.Errorf("%s: %d bytes, %s", c.path, len(text), got)
		}
	}
}
