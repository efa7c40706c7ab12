package tiny

import "testing"

func TestCheck(t *testing.T) {
	c := &counter{}
	if n, err := c.check("abcde"); n != 0 || err == nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := c.check("a", "b"); n != 2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestSum(t *testing.T) {
	if got := sum(3); got != 6 {
		t.Errorf("got %d, want 6", got)
	}
}

func TestEven(t *testing.T) {
	if even(3) {
		t.Error("want 3 to be odd")
	}
}
