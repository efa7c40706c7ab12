package browser

import (
	"context"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Open loads url and returns, when the page has loaded, the answer its document came with; whatever its status, that
// is no error. It is one when there is nothing to show, which includes a status of 400 and more with an empty body.
func (b *Browser) Open(url string) (*network.Response, error) {
	return arrive(b, url, chromedp.NavigateResponse(url))
}

// Follow clicks an element, as Click does, that leads to another page: a link, or the button of a form. It returns
// when that page has loaded, as Open does.
func (b *Browser) Follow(element string) (*network.Response, error) {
	return arrive(b, element, func(ctx context.Context, _ *chromedp.Target) (*network.Response, error) {
		return chromedp.RunResponse(ctx, click(element))
	})
}

func arrive(b *Browser, where string, action chromedp.Action[*network.Response]) (*network.Response, error) {
	response, err := run(b, action)
	if err == nil && response == nil {
		err = errors.New("no document was loaded")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return response, nil
}

// Evaluate returns the value of a JavaScript expression in the page, or, where that is a promise, what it promises.
// The page's Content-Security-Policy does not hinder it.
func Evaluate[T any](b *Browser, expression string) (T, error) {
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}
