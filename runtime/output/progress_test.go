package output

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// screenLine returns the contents of a terminal's line after text was written to it, and
// the lines before.
func screenLine(text string) string {
	var done []string
	line := ""
	for part := range strings.SplitAfterSeq(text, "\n") {
		for i, s := range strings.Split(part, "\r") {
			if i > 0 {
				line = "" // all that follows a carriage return clears the line
			}
			line += strings.ReplaceAll(s, "\x1b[K", "")
		}
		if strings.HasSuffix(line, "\n") {
			done, line = append(done, line), ""
		}
	}
	return strings.Join(done, "") + line
}

// TestProgress checks the contents of a terminal at given times after the work began.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		work  func(p *Progress)
		want  string
	}{
		{"short", 80, func(p *Progress) { p.Begin("Working", 3); time.Sleep(200 * time.Millisecond) }, ""},
		{"long", 80, func(p *Progress) { p.Begin("Working", 3); p.Add(1); time.Sleep(350 * time.Millisecond) }, "Working: 1 of 3"},
		{"later", 80, func(p *Progress) {
			p.Begin("Working", 3)
			time.Sleep(350 * time.Millisecond)
			p.Add(2)
			time.Sleep(100 * time.Millisecond)
		}, "Working: 2 of 3"},
		{"not counted", 80, func(p *Progress) { p.Begin("Working", 0); time.Sleep(time.Second) }, "Working ..."},
		{"narrow", 12, func(p *Progress) { p.Begin("Working", 99); time.Sleep(time.Second) }, "0 of 99"},
		{"too narrow", 7, func(p *Progress) { p.Begin("Working", 99); time.Sleep(time.Second) }, ""},
		{"several short ones", 80, func(p *Progress) {
			p.Begin("One", 0)
			time.Sleep(200 * time.Millisecond)
			p.Begin("Two", 0)
			time.Sleep(150 * time.Millisecond)
		}, "Two ..."},
		{"ended", 80, func(p *Progress) { p.Begin("Working", 0); time.Sleep(time.Second); p.End(); time.Sleep(time.Second) }, ""},
		{"two with an end", 80, func(p *Progress) {
			p.Begin("One", 0)
			time.Sleep(200 * time.Millisecond)
			p.End()
			p.Begin("Two", 0)
			time.Sleep(200 * time.Millisecond)
		}, ""},
		{"a message", 80, func(p *Progress) {
			p.Begin("Working", 0)
			time.Sleep(350 * time.Millisecond)
			p.Write([]byte("WARNING: x\n"))
		}, "WARNING: x\n"},
		{"after a message", 80, func(p *Progress) {
			p.Begin("Working", 0)
			time.Sleep(350 * time.Millisecond)
			p.Write([]byte("WARNING: x\n"))
			time.Sleep(350 * time.Millisecond)
		}, "WARNING: x\nWorking ..."},
		{"a stopped terminal", 80, func(p *Progress) { p.Begin("Working", 0); time.Sleep(time.Second) }, ""},
		{"off", 80, func(p *Progress) { p.Off(true); p.Begin("Working", 0); time.Sleep(time.Second) }, ""},
		{"off and on", 80, func(p *Progress) {
			p.Off(true)
			p.Begin("One", 0)
			p.Off(false)
			p.Begin("Two", 0)
			time.Sleep(time.Second)
		}, "Two ..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b strings.Builder
				p := NewProgress(&b, func() int { return c.width }, func() bool { return c.name != "a stopped terminal" })
				c.work(p)
				synctest.Wait()
				if got := screenLine(b.String()); got != c.want {
					t.Errorf("the terminal shows %q, want %q (%q)", got, c.want, b.String())
				}
				p.End()
			})
		})
	}
	// A text that the terminal does not accept does not block the work.
	r, w := io.Pipe()
	p := NewProgress(w, func() int { return 80 }, func() bool { return true })
	written := make(chan bool)
	go func() {
		p.Write([]byte("x"))
		close(written)
	}()
	var b [1]byte
	for texts(p) == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Begin("Working", 1)
	p.Add(1)
	p.End()
	r.Read(b[:])
	<-written
	var none *Progress
	none.Begin("x", 1)
	none.Add(1)
	none.End()
	none.Off(true)
}

// texts returns the number of texts that are being written.
func texts(p *Progress) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writing
}
