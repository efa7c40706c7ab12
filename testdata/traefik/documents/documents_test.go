package documents

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	const source = `# One page

[here](#two-words) and ![a picture](picture.png)

## Two words

- **A symptom.** It is so.

  ` + "```log" + `
  a line
    more
  ` + "```" + `

` + "```sh\necho\n```\n"
	got, err := parse("page.md", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	want := Document{
		Name:    "page.md",
		Text:    source,
		Links:   []string{"#two-words", "picture.png"},
		Anchors: map[string]bool{"one-page": true, "two-words": true},
		Blocks: []Block{
			{"page.md", "log", "a line\n  more\n", "A symptom"},
			{"page.md", "sh", "echo\n", ""},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := Blocks([]Document{got}, "", "sh"); len(got) != 1 || got[0].Text != "echo\n" {
		t.Errorf("got %v", got)
	}
	if got := Blocks([]Document{got}, "other.md", "sh"); got != nil {
		t.Errorf("got %v of another document", got)
	}
}

func TestACodeBlockThatIsIndentedHasNoLanguage(t *testing.T) {
	got, err := parse("page.md", []byte("Text.\n\n    indented\n"))
	if err != nil || !reflect.DeepEqual(got.Blocks, []Block{{"page.md", "", "indented\n", ""}}) {
		t.Errorf("got %+v, %v", got.Blocks, err)
	}
}
