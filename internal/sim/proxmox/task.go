package proxmox

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// task is work that goes on after the answer.
type task struct {
	kind    string // qmcreate, qmstart, ...
	running bool
	err     error
}

// begin starts a task and returns its ID. work is done at its end, with the lock held.
func (s *Server) begin(kind, subject string, work func() error) string {
	s.serial++
	user, _, _ := strings.Cut(s.config.Token, "=")
	id := fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", s.config.Node, s.serial, s.serial, time.Now().Unix(), kind, subject, user)
	t := &task{kind: kind, running: true}
	s.tasks[id] = t
	time.AfterFunc(s.config.TaskTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.trouble.Hang == kind && !s.closed {
			s.change.Wait()
		}
		t.err = work()
		t.running = false
	})
	return id
}

func (s *Server) findTask(r *http.Request) (*task, error) {
	t := s.tasks[r.PathValue("task")]
	if t == nil {
		return nil, refuse("unable to find task '%s'", r.PathValue("task"))
	}
	return t, nil
}

func (s *Server) getTask(r *http.Request) (any, error) {
	t, err := s.findTask(r)
	if err != nil {
		return nil, err
	}
	status := map[string]any{"upid": r.PathValue("task"), "node": s.config.Node, "type": t.kind, "pid": 1, "status": "running"}
	if !t.running {
		status["status"], status["exitstatus"] = "stopped", "OK"
		if t.err != nil {
			status["exitstatus"] = t.err.Error()
		}
	}
	return status, nil
}

func (s *Server) getTaskLog(r *http.Request) (any, error) {
	t, err := s.findTask(r)
	if err != nil {
		return nil, err
	}
	line := "TASK OK"
	if t.err != nil {
		line = "TASK ERROR: " + t.err.Error()
	}
	return []any{map[string]any{"n": 1, "t": line}}, nil
}

// deleteTask answers for a task that runs as for one that has ended: what was begun goes on.
func (s *Server) deleteTask(r *http.Request) (any, error) {
	_, err := s.findTask(r)
	return nil, err
}
