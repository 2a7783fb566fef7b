"use strict";
(function () {
	var margin = 10, charWidth = 6.6, near = 0.02;
	var info = document.getElementById("info"), find = document.getElementById("find"), help = info.textContent;
	var all = Array.prototype.map.call(document.querySelectorAll("svg.flame"), flame);

	// flame makes a flame graph react to clicks and keys. It returns a function that marks
	// the boxes whose names contain a text, and returns their number and share.
	function flame(svg) {
		var inner = svg.viewBox.baseVal.width - 2 * margin, selected = null;
		var boxes = Array.prototype.map.call(svg.querySelectorAll("g.f"), function (g) {
			var r = g.querySelector("rect"), t = g.querySelector("title").textContent;
			return {
				g: g, rect: r, text: g.querySelector("text"), title: t, name: t.slice(0, t.lastIndexOf(": ")),
				x: +r.getAttribute("x"), y: +r.getAttribute("y"), w: +r.getAttribute("width"),
			};
		});
		if (!boxes.length) return function () { return [0, 0]; };
		var root = boxes[0];
		function within(a, b) { return a.x >= b.x - near && a.x + a.w <= b.x + b.w + near; }
		function zoom(to) {
			var scale = inner / to.w;
			boxes.forEach(function (b) {
				var under = b.y > to.y && within(to, b), above = b.y <= to.y && within(b, to);
				b.g.classList.toggle("off", !under && !above);
				if (!under && !above) return;
				var x = under ? margin : margin + (b.x - to.x) * scale, w = under ? inner : b.w * scale;
				b.rect.setAttribute("x", x);
				b.rect.setAttribute("width", w);
				b.text.setAttribute("x", x + 3);
				var room = Math.floor((w - 6) / charWidth);
				b.text.textContent = b.name.length <= room ? b.name : room < 3 ? "" : b.name.slice(0, room - 2) + "..";
			});
		}
		function select(b) {
			if (!b) return;
			if (selected) selected.g.classList.remove("s");
			selected = b;
			b.g.classList.add("s");
			info.textContent = b.title;
		}
		// beside returns the nearest visible box for which ok returns true, by position.
		function beside(ok) {
			var best = null;
			boxes.forEach(function (b) {
				if (!b.g.classList.contains("off") && ok(b) && (!best || Math.abs(b.x - selected.x) < Math.abs(best.x - selected.x))) best = b;
			});
			return best;
		}
		var moves = {
			ArrowUp: function (b) { return b.y < selected.y && b.y > selected.y - 20 && within(b, selected); },
			ArrowDown: function (b) { return b.y > selected.y && b.y < selected.y + 20 && within(selected, b); },
			ArrowLeft: function (b) { return b.y === selected.y && b.x < selected.x; },
			ArrowRight: function (b) { return b.y === selected.y && b.x > selected.x; },
		};
		boxes.forEach(function (b) {
			b.g.addEventListener("click", function () { select(b); zoom(b); });
			b.g.addEventListener("mouseenter", function () { info.textContent = b.title; });
		});
		svg.addEventListener("keydown", function (e) {
			if (!selected) select(root);
			if (moves[e.key]) select(beside(moves[e.key]));
			else if (e.key === "Enter") zoom(selected);
			else if (e.key === "Escape") { select(root); zoom(root); }
			else return;
			e.preventDefault();
		});
		return function (want) {
			var found = 0, share = 0, end = {};
			boxes.forEach(function (b) {
				var hit = want !== "" && b.name.indexOf(want) >= 0;
				b.g.classList.toggle("m", hit);
				if (!hit) return;
				found++;
				// Boxes are in the order of their positions, callers first.
				if (end.x === undefined || b.x >= end.x - near) { share += b.w; end.x = b.x + b.w; }
			});
			return [found, share / root.w];
		};
	}
	function search(want) {
		var found = 0, share = 0;
		all.forEach(function (mark) { var r = mark(want); found += r[0]; share = Math.max(share, r[1]); });
		info.textContent = want === "" ? help : found + " boxes, " + (100 * share).toFixed(2) + "%";
	}
	if (find) find.addEventListener("input", function () { search(find.value); });
	window.addEventListener("keydown", function (e) {
		var typing = e.target === find;
		if (!all.length || !(e.ctrlKey && e.key === "f" || e.key === "/" && !typing)) return;
		e.preventDefault();
		if (find) find.focus();
		else search(window.prompt("mark functions whose names contain:") || "");
	});
	window.addEventListener("beforeprint", function () {
		document.querySelectorAll("details:not(.stacks)").forEach(function (d) { d.open = true; });
	});
})();
