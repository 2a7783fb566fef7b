package live

import (
	"fmt"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
)

// model is the state of the view: its contents, and the positions of the user. It is
// independent of the terminal: key changes it, and draw shows it on a grid.
type model struct {
	w, h  int
	ascii bool // draw with ASCII only

	maps  []*table
	tab   int // index in maps; len(maps): the output
	start time.Time
	now   time.Time // of the last snapshot
	every time.Duration

	paused, ending bool
	hideOutput     bool
	byRate         bool // sort counters by their rates
	help           bool
	helpTop        int

	prompt  prompt
	typed   string
	before  string // the filter or search before the prompt was opened
	message string // the result of the last key
	failed  error  // of the last snapshot

	out      pane
	messages *ring // warnings and errors
}

// prompt is what the user is typing.
type prompt uint8

const (
	noPrompt prompt = iota
	promptFilter
	promptSearch
	promptSave
)

// action is an action of a key that the surrounding program carries out.
type action uint8

const (
	nothing action = iota
	quit
	quitAtOnce
	suspend
	redraw
	save
	refresh
)

func newModel(out, messages *ring, start time.Time, every time.Duration) *model {
	return &model{w: 80, h: 24, start: start, now: start, every: every, out: pane{src: out}, messages: messages}
}

// update takes the contents of the maps at a time.
func (m *model) update(now time.Time, maps []output.Map, err error) {
	m.failed, m.now = err, now
	known := map[string]*table{}
	for _, t := range m.maps {
		known[t.name] = t
	}
	shown := m.table()
	onOutput := m.tab == len(m.maps) && m.tab > 0
	m.maps = m.maps[:0]
	for i := range maps {
		t := known[maps[i].Name]
		if t == nil {
			t = newTable(&maps[i], m.start)
			t.byRate = m.byRate
		}
		t.update(now, &maps[i])
		m.maps = append(m.maps, t)
	}
	m.tab = min(m.tab, len(m.maps))
	if onOutput {
		m.tab = len(m.maps)
	}
	for i, t := range m.maps {
		if t == shown {
			m.tab = i
		}
	}
}

// table returns the table that is shown, or nil.
//
//go:noinline
func (m *model) table() *table {
	if m.tab < len(m.maps) {
		return m.maps[m.tab]
	}
	return nil
}

// split reports whether the output is shown below the table.
func (m *model) split() bool {
	return !m.hideOutput && m.table() != nil && m.out.src.total() > 0 && m.h >= minSplit
}

// minSplit is the minimum height of a screen that is divided.
const minSplit = 10

// bodyHeight returns the number of lines of the table or the output that is shown.
func (m *model) bodyHeight() int {
	n := m.h - 2 // tabs and keys
	if m.hasStatus() {
		n--
	}
	if m.table() != nil {
		n-- // names of columns
	}
	if m.split() {
		n -= m.splitHeight()
	}
	return max(n, 1)
}

func (m *model) splitHeight() int { return m.h / 3 }

// key handles a key.
func (m *model) key(k rune) action {
	switch k {
	case ctrlC, ctrlD:
		m.ending = true
		return quit
	case ctrlBackslash:
		return quitAtOnce
	case ctrlZ:
		return suspend
	case ctrlL:
		return redraw
	}
	if m.prompt != noPrompt {
		return m.typing(k)
	}
	m.message = ""
	if m.help {
		return m.helpKey(k)
	}
	switch k {
	case 'q', 'Q':
		m.ending = true
		return quit
	case '?', 'H', keyHelp:
		m.help, m.helpTop = true, 0
	case keyTab, 'l':
		m.tab = (m.tab + 1) % (len(m.maps) + 1)
	case keyBackTab, 'h':
		m.tab = (m.tab + len(m.maps)) % (len(m.maps) + 1)
	case 'o':
		m.tab = len(m.maps)
	case 'e':
		m.hideOutput = !m.hideOutput
	case ' ', 'p':
		m.paused = !m.paused
		m.out.freeze(m.paused)
		if !m.paused {
			return refresh
		}
	case '+':
		m.every = max(m.every/2, minEvery)
		m.message = "every " + m.every.String()
		return refresh
	case '-':
		m.every = min(m.every*2, maxEvery)
		m.message = "every " + m.every.String()
		return refresh
	case 'f':
		m.ask(promptFilter, m.filter())
	case '/':
		m.ask(promptSearch, "")
		m.before = m.searched()
	case 'w':
		m.ask(promptSave, m.saveName())
	case 'n':
		m.next(1)
	case 'N':
		m.next(-1)
	default:
		if k >= '1' && k <= '9' {
			m.tab = min(int(k-'1'), len(m.maps))
			break
		}
		if t := m.table(); t != nil {
			t.key(k, m.bodyHeight())
		} else {
			m.out.key(k, m.bodyHeight())
		}
	}
	return nothing
}

// The limits of the time between two snapshots.
const (
	minEvery = 250 * time.Millisecond
	maxEvery = time.Minute
)

//go:noinline
func (m *model) ask(p prompt, text string) { m.prompt, m.typed, m.before = p, text, text }

// typing handles a key of a prompt.
func (m *model) typing(k rune) action {
	p := m.prompt
	switch {
	case k == keyEscape:
		m.prompt = noPrompt
		m.typed = ""
		if p != promptSave {
			m.typed = m.before
			if p == promptFilter {
				m.typed = ""
			}
			m.entered(p)
		}
	case k == keyEnter:
		m.prompt = noPrompt
		switch p {
		case promptSave:
			if m.typed != "" {
				return save
			}
		case promptSearch:
			if m.typed != "" {
				m.next(0)
			}
		}
	case k == keyBackspace:
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
		m.entered(p)
	case k == ctrlU:
		m.typed = ""
		m.entered(p)
	case k >= ' ' && len(m.typed) < maxTyped:
		m.typed += string(k)
		m.entered(p)
	}
	return nothing
}

// maxTyped is the maximum number of bytes of the text at a prompt.
const maxTyped = 1000

// entered applies the text at the prompt.
func (m *model) entered(p prompt) {
	t := m.table()
	switch {
	case p == promptFilter && t != nil:
		t.setFilter(m.typed)
	case p == promptFilter:
		m.out.setFilter(m.typed)
	case p == promptSearch && t != nil:
		t.search = m.typed
	case p == promptSearch:
		m.out.search = m.typed
	}
}

func (m *model) filter() string {
	if t := m.table(); t != nil {
		return t.filter
	}
	return m.out.filter
}

func (m *model) searched() string {
	if t := m.table(); t != nil {
		return t.search
	}
	return m.out.search
}

// next moves to the next (1) or previous (-1) line that contains the search text. If way
// is 0, it moves to the first one from the current line on.
func (m *model) next(way int) {
	text, ok := m.searched(), false
	if text == "" {
		m.message = "nothing to search for: press /"
		return
	}
	if t := m.table(); t != nil {
		ok = t.find(way, m.w)
	} else {
		ok = m.out.find(way, m.bodyHeight())
	}
	if !ok {
		m.message = fmt.Sprintf("not found: %s", printable(text))
	}
}

// saveName returns the name that save proposes.
func (m *model) saveName() string {
	what := "output"
	if t := m.table(); t != nil {
		what = strings.TrimPrefix(t.name, "@")
	}
	if what != "" {
		what += "-"
	}
	return "gotrace-" + what + m.now.Format("150405") + ".txt"
}

// matches reports whether text contains a part. If the part has no capital letters, case
// is ignored.
func matches(text, part string) bool { return index(text, part) >= 0 }

// index returns where matches finds the part in text, or -1.
func index(text, part string) int {
	if lower := strings.ToLower(part); lower == part {
		if low := strings.ToLower(text); len(low) == len(text) {
			text = low
		}
	}
	return strings.Index(text, part)
}
