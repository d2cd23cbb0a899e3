"""What a person gets to see: figures, tables, annotated frames and report pages.

wording.py          numbers and times as text
lettering.py        text on images, and how wide text is
style.py            colours, sizes, the common layout of figures, saving them
figures.py          confusion matrix, training curves and, with timeline_figure.py, the emotion timeline
timeline.py         a face's windows as stretches and runs; the CSV of a prediction
grid.py             an evaluation as rows of text
tables.py           tables for the terminal, Markdown and LaTeX
annotate.py         boxes and probabilities on video frames
evaluation.py       the folder of `dfer eval --report`
page.py             a report as one HTML file; contact_sheet.py joins images for it
demo.py             the report of `dfer demo`
store.py            the report of `dfer preprocess`, with store_tables.py and histogram.py
"""
