package browser

import (
	"bytes"
	"fmt"
	"image/png"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func TestScreenshot(t *testing.T) {
	b := serve(t).visit(t, "phone")
	check.Must(b.Open("https://home.example/"))(t)
	for _, row := range []struct {
		width      int
		scheme     Scheme
		brightness uint32 // of the upper right corner
	}{
		{390, Light, 0xffff},
		{390, Dark, 0},
		{1280, Dark, 0},
		{1280, Light, 0xffff},
	} {
		name := fmt.Sprintf("%d %s", row.width, row.scheme)
		if err := b.View(row.width, row.scheme); err != nil {
			t.Fatal(err)
		}
		height := check.Must(Evaluate[int](b, "document.documentElement.scrollHeight"))(t)
		picture, err := png.Decode(bytes.NewReader(check.Must(b.Screenshot())(t)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		size := picture.Bounds().Size()
		if size.X != 2*row.width || size.Y != 2*height || height <= 1100 {
			t.Errorf("%s: got %v, want twice %d by %d, the whole page", name, size, row.width, height)
		}
		if got, _, _, _ := picture.At(size.X-1, 0).RGBA(); got != row.brightness {
			t.Errorf("%s: got brightness %#x, want %#x", name, got, row.brightness)
		}
	}
	if problems := b.Problems(); len(problems) > 0 {
		t.Errorf("got problems %q, want none", problems)
	}
}
