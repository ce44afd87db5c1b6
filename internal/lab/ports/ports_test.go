package ports

import (
	"net"
	"testing"
)

func TestBlock(t *testing.T) {
	t.Parallel()
	base, err := Block(8, 4)
	if err != nil {
		t.Fatal(err)
	}
	if base < 20000 || base+8 > 32000 || base%8 != 20000%8 {
		t.Errorf("block at %d", base)
	}
	l, err := net.Listen("tcp", Addr(base+2))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if Free(base + 2) {
		t.Errorf("port %d is free although something listens", base+2)
	}
	for range 50 {
		if again, err := Block(8, 4); err != nil || again == base {
			t.Fatalf("block %d with a port that is taken, %v", again, err)
		}
	}
}

func TestNoBlock(t *testing.T) {
	t.Parallel()
	if base, err := Block(12001, 1); err == nil || err.Error() != "no block of 1 free ports on 127.0.0.1 between 20000 and 32000" {
		t.Errorf("%d, %v", base, err)
	}
}
