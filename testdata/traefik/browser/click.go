package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Click moves the mouse to an element, presses and releases its button there, and returns when the page has seen
// that. Element is the name that a screen reader calls a button or link by, its text as a rule, or else a CSS
// selector. It is an error when there is no such element, or several.
func (b *Browser) Click(element string) error {
	_, err := run(b, click(element))
	return err
}

func click(element string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		node, err := find(ctx, t, element)
		if err != nil {
			return fmt.Errorf("clicking %q: %w", element, err)
		}
		x, y, err := locate(ctx, t, node)
		if err != nil {
			return fmt.Errorf("clicking %q: %w", element, err)
		}
		_, err = chromedp.MouseClickXY(x, y)(ctx, t)
		return err
	})
}

// find returns the one button or link of that name, else the one element that a CSS selector selects. It asks for no
// node ids, only for backend ones: chromedp, which keeps a copy of the document, voids the former at any time.
func find(ctx context.Context, t *chromedp.Target, element string) (cdp.BackendNodeID, error) {
	document, err := chromedp.Evaluate[*runtime.RemoteObject]("document")(ctx, t)
	if err != nil {
		return 0, err
	}
	var named []cdp.BackendNodeID
	for _, role := range []string{"button", "link"} {
		query := accessibility.QueryAXTreeParams{ObjectID: document.ObjectID, AccessibleName: element, Role: role}
		result, err := cdp.Call(ctx, t, accessibility.QueryAXTree, query)
		if err != nil {
			return 0, err
		}
		for _, node := range result.Nodes {
			if !node.Ignored { // as what is hidden is
				named = append(named, node.BackendDOMNodeID)
			}
		}
	}
	switch len(named) {
	case 0:
		return selected(ctx, t, element)
	case 1:
		return named[0], nil
	default:
		return 0, fmt.Errorf("%d buttons and links have this name", len(named))
	}
}

func selected(ctx context.Context, t *chromedp.Target, selector string) (cdp.BackendNodeID, error) {
	quoted, err := json.Marshal(selector)
	if err != nil {
		return 0, err
	}
	const script = "(all => all.length == 1 ? all[0] : all.length)(document.querySelectorAll(%s))"
	object, err := chromedp.Evaluate[*runtime.RemoteObject](fmt.Sprintf(script, quoted))(ctx, t)
	if err != nil {
		return 0, fmt.Errorf("no button or link has this name, and as a selector: %w", err)
	}
	if object.ObjectID == "" {
		return 0, fmt.Errorf("no button or link has this name, and it selects %s elements", object.Value)
	}
	described, err := cdp.Call(ctx, t, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: object.ObjectID})
	if err != nil {
		return 0, err
	}
	return described.Node.BackendNodeID, nil
}

// locate scrolls a node into view and returns the middle of it.
func locate(ctx context.Context, t *chromedp.Target, node cdp.BackendNodeID) (x, y float64, err error) {
	if _, err := cdp.Call(ctx, t, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: node}); err != nil {
		return 0, 0, err
	}
	shape, err := cdp.Call(ctx, t, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: node})
	if err != nil {
		return 0, 0, err
	}
	if len(shape.Quads) == 0 {
		return 0, 0, errors.New("the element is not visible")
	}
	corners := shape.Quads[0] // x and y of each of four
	return (corners[0] + corners[4]) / 2, (corners[1] + corners[5]) / 2, nil
}
