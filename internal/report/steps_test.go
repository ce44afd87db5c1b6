package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStepsPlain(t *testing.T) {
	s, out, errs := piped()
	st := s.Steps("etcd", "kube-apiserver")
	st.Note("compiling %d packages", 7)
	st.Set("etcd", "compiling 1/7 packages")
	st.Set("etcd", "compiling 2/7 packages") // only the first state is printed
	st.Set("kube-apiserver", "compiling 3/7 packages")
	st.End("etcd", "built")
	st.End("etcd", "built again") // ended already
	st.Set("etcd", "compiling")
	st.Set("late", "starting") // was not announced
	st.End("kube-apiserver", "built")
	st.End("unseen", "suspended") // ends without having begun
	st.Close()
	st.Close()
	// Names that come later are mostly within the first width.
	want := `compiling 7 packages
  etcd                                   compiling 1/7 packages
  kube-apiserver                         compiling 3/7 packages
  etcd                             0.0s  built
  late                                   starting
  kube-apiserver                   0.0s  built
  unseen                           0.0s  suspended
`
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	if out.Len() > 0 {
		t.Errorf("stdout %q, want nothing", out)
	}
}

// locked is a terminal: the display draws from its own goroutine.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestStepsTerminal(t *testing.T) {
	s, _, _ := piped()
	tty := &locked{}
	s.Err, s.ErrTTY = tty, true
	st := s.Steps("a", "bb")
	var wg sync.WaitGroup
	for _, name := range []string{"a", "bb", "added-later"} {
		wg.Go(func() {
			for i := range 50 {
				st.Set(name, fmt.Sprintf("state %d", i))
			}
			st.End(name, "built "+name)
			st.Set(name, "too late")
		})
	}
	wg.Go(func() { st.Note("a note") })
	wg.Wait()
	st.Set("open", "still running")
	st.Close()
	st.Close()

	got := escapes.ReplaceAllString(tty.String(), "")
	for _, want := range []string{"a note\n", "built a", "built bb", "built added-later", "still running"} {
		if !strings.Contains(got, want) {
			t.Errorf("the terminal does not show %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "too late") {
		t.Errorf("a step changed after its end:\n%s", got)
	}
	lines := strings.Split(strings.TrimRight(got, "\n"), "\n")
	last := strings.Join(lines[max(0, len(lines)-4):], "\n")
	for _, want := range []string{"built a", "built bb", "built added-later", "still running"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last picture lacks %q:\n%s", want, last)
		}
	}
}

// Two goroutines that name the same new step make one line, not two.
func TestStepsSameNameAtOnce(t *testing.T) {
	s, _, _ := piped()
	errs := &locked{}
	s.Err = errs
	for i := range 50 {
		st := s.Steps()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { st.Set(fmt.Sprint("step", i), "starting") })
		}
		wg.Wait()
		st.Close()
	}
	for i := range 50 {
		if n := strings.Count(errs.String(), fmt.Sprintf("  step%d  ", i)); n != 1 {
			t.Errorf("step%d was printed %d times, want once", i, n)
		}
	}
}
