// Package handlebars renders the templates that people store for their mail: Handlebars, as
// far as Mailgun has it.
//
// A template is text with {{paths}} into the variables of a message, and the blocks if, unless,
// each, with and equal. That is all there is. No other helpers, no partials, no decorators, no
// lambdas: whoever writes a template may be a stranger, and a template can do nothing but turn
// variables into text (SEC-22). What is not understood is an error when the template is
// stored, not a surprise when it is sent.
//
// [Parse] reads a template once; [Template.Render] is then a function of the variables. Both are bounded
// whatever they are given: nesting by [MaxDepth], work by a count of steps ([Budget]) rather than by
// a clock, so that a template which is too much work is so everywhere and always, and output by
// the caller's limit. Values are escaped for HTML unless braces are tripled.
//
// Where Handlebars for JavaScript and Mailgun's engine differ, we do as Mailgun: a
// name that the context of a block does not have is looked for in the contexts around it, an
// empty object is false, and a list is printed with nothing between its items.
package handlebars
